"""Jobs that share a cluster share its devices."""

from nas.cluster import at_device, ray


class Waiting:
    """Stands for the actor of a job at a device."""

    def ping(self) -> str:
        """Answer."""
        return "here"


def test_each_job_has_an_actor_at_a_device(cluster: None) -> None:
    """All of them are there at once; whose turn it is to measure, the device's own queue says."""
    assert list(at_device("cpu")["resources"]) == ["device:cpu"]
    assert at_device("an agent")["resources"] == {}
    actors = [ray.remote(Waiting).options(**at_device("cpu")).remote() for _ in range(3)]
    assert ray.get([actor.ping.remote() for actor in actors], timeout=200) == ["here"] * 3
