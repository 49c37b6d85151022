// What can be done about a job.

import { element } from "./element.js";
import { ENDED, stateOf } from "./job_facts.js";
import { ask, complain, mayChange, part } from "./service.js";

// The buttons that fit the state of a job; `changed` gets the job as it is after one was pressed.
export function actions(job, changed) {
  if (!mayChange()) return [];
  const button = (word, verb) => element("button", {
    type: "button", class: "plain", "aria-label": `${word} ${job.id}`,
    onclick: async (event) => {
      event.target.disabled = true;
      try {
        changed(await ask(`/jobs/${part(job.id)}/${verb}`, { method: "POST" }));
      } catch (error) {
        event.target.disabled = false;
        complain(error);
      }
    },
  }, word);
  const state = stateOf(job);
  if (state === "PAUSED") return [button("Resume", "resume"), button("Cancel", "cancel")];
  if (state === "FAILED" || state === "CANCELLED") return [button("Resume", "resume")];
  return ENDED.includes(job.status) ? [] : [button("Pause", "pause"), button("Cancel", "cancel")];
}
