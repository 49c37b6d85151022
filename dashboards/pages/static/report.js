// A job as a file of its own: what its page shows, as it was when the file was written.

import { Archive } from "./archive.js";
import { place } from "./element.js";
import { showFailures } from "./failures.js";
import { frontTable } from "./front_table.js";
import { FrontView } from "./front_view.js";
import { Hypervolume } from "./hypervolume.js";
import { Importance } from "./importance.js";
import { ENDED, facts } from "./job_facts.js";
import { noticeOf, show } from "./notice.js";
import { Points } from "./points.js";
import { Rounds } from "./rounds.js";
import { Ranges, View } from "./view.js";

const told = JSON.parse(place("data").textContent);
const points = new Points(Uint8Array.from(atob(told.points), (each) => each.charCodeAt(0)).buffer);
const view = new View();
const choose = (row) => {
  front.scatter.mark(row);
  view.set("chosen", String(points.column("number")[row]));
  front.scatter.chart.say(front.describe(row));
};
const front = new FrontView(points, view, new Ranges(view), { name: told.job.id, choose });
const hypervolume = new Hypervolume(told.job.id, view);

place("state").append(facts(told.job));
place("charts").append(front.scatter.chart.node, hypervolume.node, front.parallel.chart.node);
show(place("notice"), noticeOf(points, ENDED.includes(told.job.status)));
hypervolume.show(told.progress);
frontTable(place("front"), points.objectives, told.front, (number) => front.mark(number), () => null);
const importance = new Importance(told.job.id, points.objectives.map(({ metric }) => metric), view);
place("importance").append(importance.node);
importance.show(told.importance);
showFailures(place("failures"), told.failures);
new Rounds(told.job.id, place("rounds")).show(told.rounds);
if (told.archive) {
  const archive = new Archive(told.job.id, view);
  place("archive").append(archive.node);
  archive.show(told.archive);
}
