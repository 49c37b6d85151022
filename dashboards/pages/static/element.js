// Elements of the page. Text is only ever set as text, so names from jobs and devices cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

// A table with a heading for each column: {name, number?, cell(row)}.
export function table(columns, rows, attributes = {}) {
  const kind = (column) => (column.number ? { class: "number" } : {});
  return element("table", attributes,
    element("thead", {}, element("tr", {}, columns.map((c) => element("th", { scope: "col", ...kind(c) }, c.name)))),
    element("tbody", {}, rows.map((row) => element("tr", {}, columns.map((c) => element("td", kind(c), c.cell(row)))))));
}

export function place(id) {
  return document.getElementById(id);
}
