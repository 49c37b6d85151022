// A network: what it is, what it costs where, what lies beside it, and its file.

import { element, place, table } from "./element.js";
import { showExport } from "./export.js";
import { moment, short } from "./numbers.js";
import { ask, complain, part, Refused } from "./service.js";
import { showStages } from "./stages.js";
import { View } from "./view.js";

const { job: jobId, key } = place("network").dataset;
const path = `/jobs/${part(jobId)}`;
const BESIDE = 2;

const link = (id, other) => element("a", { class: "mono", href: `/jobs/${part(id)}/networks/${other}` }, other.slice(0, 12));

function showMetrics(evaluation, architecture, met) {
  const rows = Object.entries(evaluation.metrics).filter(([name]) => !name.endsWith(" deviation")).map(([name, value]) => {
    const unsure = evaluation.metrics[`${name} deviation`] ?? 0;
    return { name, value: short(value) + (unsure > 0 ? ` ± ${short(unsure)}` : ""), from: unsure > 0 ? "predicted" : "this job" };
  });
  const known = new Set(rows.map(({ name }) => name));
  const still = Object.entries(architecture.static_metrics).filter(([name]) => !known.has(name))
    .map(([name, value]) => ({ name, value: short(value), from: "its graph" }));
  const measured = met.measured.map((each) => ({ name: each.metric, value: short(each.value),
    from: `device ${each.device_name} (${each.device_fingerprint.slice(0, 8)}), ${moment(each.created_at)}` }));
  place("metrics").replaceChildren(
    evaluation.error ? element("p", { class: "problem" }, `Its evaluation failed: ${evaluation.error}`) : "",
    table([{ name: "Metric", cell: (row) => row.name }, { name: "Value", number: true, cell: (row) => row.value },
      { name: "From", cell: (row) => row.from }], [...rows, ...measured, ...still]));
}

function showNeighbours({ objectives, evaluations }) {
  const at = evaluations.findIndex((each) => each.architecture_key === key);
  if (at < 0) {
    place("neighbours").replaceChildren(element("p", { class: "quiet" }, "It is not on the front of this job."));
    return;
  }
  const near = evaluations.slice(Math.max(0, at - BESIDE), at + BESIDE + 1);
  const node = table([
    { name: "Network", cell: (each) => (each.architecture_key === key ? element("strong", {}, "this one") : link(jobId, each.architecture_key)) },
    ...objectives.map(({ metric }) => ({ name: metric, number: true, cell: (each) => short(each.metrics[metric]) })),
  ], near);
  place("neighbours").replaceChildren(node);
}

function showMet({ jobs }) {
  const others = jobs.filter(({ job_id: id }) => id !== jobId);
  place("met").replaceChildren(others.length ? table([
    { name: "Job", cell: (each) => element("a", { href: `/jobs/${part(each.job_id)}/networks/${key}` }, each.job_name) },
    { name: "Evaluation", number: true, cell: (each) => short(each.number) },
    { name: "On its front", cell: (each) => (each.error ? "failed" : each.on_front ? "yes" : "no") },
  ], others) : element("p", { class: "quiet" }, "No other job has evaluated it."));
}

async function showGraph() {
  try {
    showStages(place("graph"), await ask(`${path}/networks/${key}/graph`), key, new View());
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    place("graph").replaceChildren(element("p", { class: "quiet" }, error.message));
  }
}

async function begin() {
  const evaluation = await ask(`${path}/networks/${key}`);
  const [architecture, met, front] = await Promise.all([ask(`/architectures/${key}`),
    ask(`/architectures/${key}/encounters`), ask(`${path}/front`)]);
  showMetrics(evaluation, architecture, met);
  showNeighbours(front);
  showMet(met);
  place("choices").replaceChildren(table([{ name: "Decision", cell: ([name]) => name },
    { name: "Option", cell: ([, option]) => (typeof option === "string" ? option : JSON.stringify(option)) }], Object.entries(evaluation.genotype)));
  await Promise.all([showGraph(), showExport(place("export"), jobId, key)]);
}

begin().catch(complain);
