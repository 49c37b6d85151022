// What happens in a job, as it happens; a lost connection is shown, and taken up where it broke.

import { ask, found, lost, part, Refused } from "./service.js";

const RETRY_MS = 1500;

// `next()` is the number of the first evaluation that is not known yet. A page that nobody sees follows nothing: a
// browser keeps few connections to a host, and as many tabs that followed jobs would leave none for pages.
export function follow(jobId, next, { evaluation, job, end }) {
  let source = null;
  let over = false;
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (over || source || document.hidden) return;
    source = new EventSource(`/v1/jobs/${part(jobId)}/events?start=${next()}`);
    source.addEventListener("open", found);
    source.addEventListener("job", (event) => job(JSON.parse(event.data)));
    source.addEventListener("evaluation", (event) => evaluation(JSON.parse(event.data)));
    source.addEventListener("end", () => {
      over = true;
      close();
      end();
    });
    source.onerror = () => {
      close(); // its own retry would not say what is wrong
      lost();
      setTimeout(retry, RETRY_MS);
    };
  };
  const retry = async () => {
    try {
      await ask("/session");
      open();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 0) setTimeout(retry, RETRY_MS); // a session that is over is told by `ask`
    }
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  open();
}
