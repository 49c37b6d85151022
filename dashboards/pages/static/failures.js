// Why evaluations failed, the most frequent causes first.

import { element, table } from "./element.js";
import { short } from "./numbers.js";

export function showFailures(node, found) {
  node.replaceChildren(found.length ? table([
    { name: "Cause", cell: ({ error }) => error },
    { name: "Evaluations", number: true, cell: ({ count }) => short(count) },
    { name: "First", number: true, cell: ({ first }) => short(first) },
  ], found) : element("p", { class: "quiet" }, "None."));
}
