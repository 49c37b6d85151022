// Devices: what they are, how noisy, and whether they agree about which networks are fast.

import { csvOf } from "./chart.js";
import { element, place, table } from "./element.js";
import { Lines } from "./lines.js";
import { moment, short } from "./numbers.js";
import { ask, complain, part } from "./service.js";

const RECENT_MS = 10 * 60 * 1000;

const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

async function card(device, jobs) {
  const recent = Date.now() - new Date(device.last_seen) < RECENT_MS;
  const names = (job) => Object.keys(job.spec?.devices ?? {});
  const waiting = jobs.filter((job) => names(job).includes(device.name));
  const facts = [["Last seen", `${moment(device.last_seen)}${recent ? " (online)" : ""}`],
    ["Jobs that name it", waiting.length ? waiting.map((job) => `${job.name} (${job.status})`).join(", ") : "none that wait or run"],
    ["Fingerprint", device.fingerprint.slice(0, 16)],
    ...Object.entries(device.description).filter(([, value]) => value !== null).map(([name, value]) => [name, shown(value)])];
  const node = element("section", { class: "card" }, element("h2", {}, device.name),
    element("dl", { class: "facts" }, facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))));
  const told = await ask(`/devices/${part(device.fingerprint)}/noise`);
  if (told.noise.length) {
    const since = told.times.map((time) => (new Date(time) - new Date(told.times[0])) / 3.6e6);
    const lines = new Lines({ caption: `Noise floor of ${device.name}`, height: 180, csvName: `${device.name}-noise.csv`,
      csv: () => csvOf(["time", "noise"], told.times.map((time, i) => [time, told.noise[i]])) });
    lines.show([{ name: "noise", xs: since, ys: told.noise }], { xName: "hours since the first measurement", yName: "relative change", dots: since.length < 60 });
    node.append(lines.chart.node);
  } else node.append(element("p", { class: "quiet" }, `${short(told.measured)} measurements are kept, none of which tells a noise floor.`));
  return node;
}

async function showAgreement(devices) {
  const pairs = (await ask("/agreements")).filter(({ networks }) => networks > 0);
  const name = (fingerprint) => devices.find((device) => device.fingerprint === fingerprint)?.name ?? fingerprint.slice(0, 8);
  place("agreement").replaceChildren(pairs.length ? table([
    { name: "Devices", cell: ({ first, second }) => `${name(first)} and ${name(second)}` },
    { name: "Networks that both measured", number: true, cell: ({ networks }) => short(networks) },
    { name: "Spearman's rank correlation of their latency", number: true, cell: ({ spearman }) => (spearman === null ? "too few" : short(spearman)) },
  ], pairs) : element("p", { class: "quiet" }, "No two devices have measured the same network."));
}

async function begin() {
  const [devices, queued, running] = await Promise.all([ask("/devices"), ask("/jobs?status=QUEUED"), ask("/jobs?status=RUNNING")]);
  if (!devices.length) place("devices").replaceChildren(element("p", { class: "card quiet" }, "No device has measured anything yet."));
  for (const device of devices) place("devices").append(await card(device, [...queued, ...running]));
  await showAgreement(devices);
}

begin().catch(complain);
