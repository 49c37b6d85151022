// The front of a job as a table: each network a link, which is how it is reached without a mouse.

import { element, table } from "./element.js";
import { short } from "./numbers.js";

const MOST_ROWS = 200;

// `mark(number)` is called for the row that is looked at; `href(key)` is where a network is shown, null where it is not.
export function frontTable(node, objectives, { evaluations, unstable }, mark, href) {
  const metric = (name) => ({
    name, number: true,
    cell: ({ metrics }) => short(metrics[name]) + (metrics[`${name} deviation`] > 0 ? ` ± ${short(metrics[`${name} deviation`])}` : ""),
  });
  const columns = [
    { name: "Network", cell: (each) => element(href(each.architecture_key) ? "a" : "span", { class: "mono", href: href(each.architecture_key),
      onfocus: () => mark(each.number), onmouseenter: () => mark(each.number) }, each.architecture_key.slice(0, 12)) },
    ...(unstable.length ? [{ name: "Measured anew", cell: (each) => (unstable.includes(each.architecture_key) ? "did not replicate" : "") }] : []),
    ...objectives.map((objective) => metric(objective.metric)),
    { name: "Evaluation", number: true, cell: (each) => short(each.number) },
  ];
  const held = document.activeElement?.closest?.("#front") ? document.activeElement.getAttribute("href") : null;
  const made = table(columns, evaluations.slice(0, MOST_ROWS));
  const more = evaluations.length - MOST_ROWS;
  node.replaceChildren(...made.childNodes);
  if (more > 0) node.append(element("caption", {}, `${MOST_ROWS} of ${evaluations.length} networks; the CSV of the chart has all.`));
  if (held) node.querySelector(`a[href="${CSS.escape(held)}"]`)?.focus();
}
