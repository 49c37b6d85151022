// What a page shows, kept in its address, so that the same view is a link.

export class View {
  constructor() {
    // A report that lies in a file keeps its view behind the hash: a file has no other pages.
    this.mark = location.protocol === "file:" ? "#" : "?";
    this.given = new URLSearchParams(this.mark === "#" ? location.hash.slice(1) : location.search);
    this.timer = 0;
  }

  get(name, usual) {
    return this.given.get(name) ?? usual;
  }

  set(name, value) {
    if (value === null || value === "") this.given.delete(name);
    else this.given.set(name, value);
    clearTimeout(this.timer);
    // Browsers refuse addresses that change too often, as they do while something is dragged.
    this.timer = setTimeout(() => history.replaceState(null, "", this.address), 100);
  }

  get address() {
    const text = this.given.toString();
    return location.pathname + (text ? this.mark + text : "");
  }
}

// Ranges of metrics that are looked at: what lies outside one of them is dimmed. Shared by the charts of a page.
export class Ranges {
  constructor(view) {
    this.view = view;
    this.listeners = [];
    this.ranges = new Map();
    for (const text of (view.get("range", "") || "").split("|").filter(Boolean)) {
      const [name, low, high] = text.split("~");
      if (low && high && Number(low) <= Number(high)) this.ranges.set(name, [Number(low), Number(high)]);
    }
  }

  get empty() {
    return this.ranges.size === 0;
  }

  get(name) {
    return this.ranges.get(name) ?? null;
  }

  set(changes) {
    for (const [name, range] of Object.entries(changes)) {
      if (range === null) this.ranges.delete(name);
      else this.ranges.set(name, range);
    }
    this.view.set("range", [...this.ranges].map(([name, [low, high]]) =>
      `${name}~${Number(low.toPrecision(6))}~${Number(high.toPrecision(6))}`).join("|"));
    for (const listener of this.listeners) listener();
  }

  clear() {
    this.set(Object.fromEntries([...this.ranges.keys()].map((name) => [name, null])));
  }

  // A test of rows of these points; null where everything is inside.
  test(points) {
    const asked = [...this.ranges].filter(([name]) => points.column(name)).map(([name, range]) => [points.column(name), ...range]);
    if (!asked.length) return null;
    return (row) => {
      for (const [column, low, high] of asked) if (!(column[row] >= low && column[row] <= high)) return false;
      return true;
    };
  }
}
