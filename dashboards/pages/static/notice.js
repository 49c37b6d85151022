// What has to be said of a job whose charts show little, or not everything.

import { short } from "./numbers.js";

export function noticeOf(points, ended) {
  const failed = points.column("failed").subarray(0, points.rows).reduce((sum, each) => sum + each, 0);
  if (points.stride > 1) return `${short(points.rows)} of ${short(points.next)} evaluations are shown: one in ${points.stride}, and the front.`;
  if (points.rows === 0) return ended ? "This job has no evaluation." : "No evaluation yet: they appear here as they come.";
  if (failed === points.rows) return `All ${short(points.rows)} evaluations failed; their causes are below.`;
  if (points.places.size === 0) return "No network meets the bounds yet.";
  return points.rows === 1 ? "There is one evaluation so far." : "";
}

export function show(node, words) {
  node.textContent = words;
  node.hidden = !words;
}
