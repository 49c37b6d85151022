// A network drawn stage by stage, from input to output: how large each stage is, what it costs, and its operators.

import { csvOf } from "./csv.js";
import { drawn, element, table } from "./element.js";
import { choice, Frame } from "./frame.js";
import { short } from "./numbers.js";

const METRICS = { macs: "multiply-adds", params: "parameters", bytes_moved: "bytes moved", peak_activation_bytes: "bytes alive" };

// Runs of nodes of the same stage.
function stagesOf(nodes) {
  const found = [];
  for (const [place, node] of nodes.entries()) {
    if (found.at(-1)?.name !== node.stage) found.push({ name: node.stage, nodes: [] });
    found.at(-1).nodes.push({ ...node, place });
  }
  return found;
}

// What a stage costs: the sum over its nodes, or for what is alive at once the most.
const total = (nodes, metric) => nodes.reduce((sum, node) =>
  (metric === "peak_activation_bytes" ? Math.max(sum, node[metric]) : sum + node[metric]), 0);

export function showStages(node, network, key, view) {
  let metric = view.get("cost") in METRICS ? view.get("cost") : "macs";
  const stages = stagesOf(network.nodes);
  const body = element("div");
  const draw = () => body.replaceChildren(picture(stages, metric), list(stages, network, metric));
  const labels = Object.values(METRICS);
  const change = (label) => {
    metric = Object.keys(METRICS)[labels.indexOf(label)];
    view.set("cost", metric);
    draw();
  };
  const frame = new Frame({
    caption: "What each stage costs", body, view, csvName: `${key.slice(0, 12)}-graph.csv`, tools: [choice("Cost", labels, METRICS[metric], change)],
    csv: () => csvOf(["node", "operator", "stage", "shape", "reads", ...Object.keys(METRICS)],
      network.nodes.map((each) => [each.name, each.op, each.stage, each.shape.join("x"), each.reads.join(" "),
        ...Object.keys(METRICS).map((name) => each[name])])),
  });
  frame.node.classList.remove("card"); // it lies in one
  frame.say(network.left_out ? `${short(network.left_out)} more nodes are not shown.` : "");
  node.replaceChildren(
    element("p", {}, Object.entries(METRICS).map(([name, label]) => `${short(network.costs[name])} ${label}`).join(" · ")), frame.node);
  draw();
}

// A block for each stage, as high as its share of the cost, and as wide as the tensor that it makes has channels.
function picture(stages, metric) {
  const width = 640;
  const step = width / stages.length;
  const height = 120;
  const most = Math.max(...stages.map(({ nodes }) => total(nodes, metric)), 1);
  const blocks = stages.map(({ name, nodes }, i) => {
    const cost = total(nodes, metric);
    const tall = Math.max(2, (cost / most) * (height - 24));
    const middle = (i + 0.5) * step;
    return drawn("g", {}, drawn("title", {}, `${name}: ${short(cost)} ${METRICS[metric]}`),
      i ? drawn("line", { x1: middle - step + step * 0.36, x2: middle - step * 0.36, y1: height / 2 - 8, y2: height / 2 - 8, stroke: "var(--quiet)" }) : null,
      drawn("rect", { x: middle - step * 0.36, y: height / 2 - 8 - tall / 2, width: step * 0.72, height: tall, rx: 3, fill: "var(--front)" }),
      drawn("text", { x: middle, y: height - 2, "text-anchor": "middle", "font-size": Math.min(12, step / 5) }, name));
  });
  return drawn("svg", { viewBox: `0 0 ${width} ${height}`, class: "picture", role: "img",
    "aria-label": `${stages.length} stages from input to output, as high as their ${METRICS[metric]}` }, blocks);
}

function list(stages, network, metric) {
  const everything = total(network.nodes, metric) || 1;
  return element("ol", { class: "stages" }, stages.map(({ name, nodes }) => {
    const cost = total(nodes, metric);
    const share = metric === "peak_activation_bytes" ? "" : `, ${Math.round((100 * cost) / everything)} %`;
    return element("li", {}, element("details", {},
      element("summary", {}, element("strong", {}, name), ` ${short(cost)} ${METRICS[metric]}${share}; makes ${nodes.at(-1).shape.join(" × ")}`),
      element("div", { class: "scroll", role: "region", "aria-label": `Operators of ${name}`, tabindex: 0 }, table([
        { name: "Operator", cell: (each) => each.op },
        { name: "Makes", cell: (each) => each.shape.join(" × ") },
        { name: METRICS[metric], number: true, cell: (each) => short(each[metric]) },
        { name: "Name", cell: (each) => each.name },
        { name: "Reads", cell: (each) => each.reads.map((place) => network.nodes[place].name).join(", ") || "the input" },
      ], nodes))));
  }));
}
