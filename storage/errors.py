"""What can go wrong with a store, in plain words.

    StoreError
    ├── BadStore (ValueError)          the URL that was given cannot be used
    │   ├── StoreNotFound              nothing is there, and the caller did not ask to create it
    │   └── SchemaTooNew               a newer version of this software wrote it
    ├── BadQuery (ValueError)          SQL that is wrong, changes something, or takes too long
    ├── UnknownJob (ValueError)        no job has this id
    ├── UnknownArtifact (ValueError)   no file has this id
    ├── UnknownTask (ValueError)       no task of the service has this id
    ├── UnknownToken (ValueError)      no token has this id
    ├── WrongStatus (ValueError)       the job's status does not allow this
    ├── LeaseHeld (ValueError)         another driver runs the job
    ├── InvalidRecord (ValueError)     a row that cannot be stored
    │   └── AlreadyEvaluated           the job has evaluated this architecture before
    ├── LeaseLost (RuntimeError)       a driver that may no longer write
    └── StoreFailed (RuntimeError)     the database said no: a full disk, a lock that was never given back, ...
        └── StoreUnreachable           its server is not there, and may come back

The ValueError family is a user's mistake, the RuntimeError family is not. No message holds a password or
SQL, and after any of them nothing of the refused change is stored.
"""


class StoreError(Exception):
    """Everything that a store raises on purpose."""


class BadStore(StoreError, ValueError):
    """The store that was named cannot be used."""


class StoreNotFound(BadStore):
    """There is no store at this URL."""


class SchemaTooNew(BadStore):
    """The store has a schema that this version does not know.

    Attributes:
        found: the revision of the store's schema.
        known: the newest revision that this version knows.
    """

    def __init__(self, store: str, found: str, known: str) -> None:
        super().__init__(
            f"store {store} has schema revision {found!r}, which this version does not know (its newest is "
            f"{known!r}): a newer nas-service wrote it; upgrade nas-service, or give another store"
        )
        self.found = found
        self.known = known


class BadQuery(StoreError, ValueError):
    """A query that the database does not take, that would change something, or that takes too long."""


class UnknownJob(StoreError, ValueError):
    """No job has this id.

    Attributes:
        job_id: the id that was given.
        known: the ids of the newest jobs.
    """

    def __init__(self, job_id: str, known: list[str], store: str) -> None:
        newest = f"the newest are: {', '.join(known)}" if known else "it holds no jobs"
        super().__init__(f"no job {job_id!r} in store {store}; {newest}")
        self.job_id = job_id
        self.known = known


class UnknownArtifact(StoreError, ValueError):
    """No recorded file has this id."""


class UnknownTask(StoreError, ValueError):
    """No task of the service has this id."""


class UnknownToken(StoreError, ValueError):
    """No token has this id."""


class WrongStatus(StoreError, ValueError):
    """The status of the job does not allow what was asked."""


class LeaseHeld(StoreError, ValueError):
    """Another driver holds the job's lease."""


class InvalidRecord(StoreError, ValueError):
    """A row that cannot be stored: an unknown reference, a bad key, a value without a stored form."""


class AlreadyEvaluated(InvalidRecord):
    """A job evaluates an architecture once."""


class LeaseLost(StoreError, RuntimeError):
    """The lease of this driver is over: another one claimed the job, or the job was cancelled."""


class StoreFailed(StoreError, RuntimeError):
    """The database refused: a full disk, a server that went away, a lock that was never given back."""


class StoreUnreachable(StoreFailed):
    """The server of the store went away, does not answer or is just starting: what failed may get through later.

    A change whose connection broke while it was made final may have been kept; whoever repeats it looks first.
    """
