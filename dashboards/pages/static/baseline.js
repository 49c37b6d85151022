// A random search for the same as another job, where the store has one.

import { ask } from "./service.js";

const LOOKED_AT = 200;

// What makes two jobs searches for the same.
const sameness = ({ spec }) => JSON.stringify([spec.space, spec.data, spec.supernet, spec.devices, spec.objectives]);

export const isRandom = ({ spec }) => spec?.strategy?.name === "random";

export async function baselineOf(job) {
  if (isRandom(job)) return null;
  const jobs = await ask(`/jobs?limit=${LOOKED_AT}`);
  return jobs.find((other) => other.id !== job.id && other.evaluated > 0
    && isRandom(other) && sameness(other) === sameness(job)) ?? null;
}
