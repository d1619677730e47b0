// A table of nodes that can be sorted and searched. Of thousands, only some rows are shown at a time.

import { make, say } from "/web/common/dom.js";
import { count } from "/web/common/numbers.js";

const MOST_ROWS = 100; // and so many more with each press of the button
const FEW = 10; // nodes that need no search

/**
 * Columns are {title, of, shown, kind}: `of(node)` is what is sorted by, `shown(value, node)` the text of it, and `kind`
 * the class of its cells: `number`, `key`, `host` or `long`. `texts(node)` is what the search looks into.
 */
export class Table {
  #place;
  #columns;
  #texts;
  #sorted = { by: 0, descending: false };
  #most = MOST_ROWS;
  #nodes = [];
  #rows = new Map(); // by id: the row and its cells

  constructor(place, { name, columns, texts }) {
    this.#columns = columns;
    this.#texts = texts;
    this.#place = this.#build(name);
    const { tools, table, more, none } = this.#place;
    place.append(tools, none, table, more);
    this.#mark();
  }

  /** Show these nodes. Rows that are there already only change their texts. */
  show(nodes) {
    this.#nodes = nodes;
    this.#update();
  }

  #build(name) {
    const search = make("input", { type: "search", input: () => this.#update() });
    const options = this.#columns.map(({ title }, index) => make("option", { value: index }, title));
    const sorting = make("select", { change: (event) => this.#sort(Number(event.target.value)) }, ...options);
    const shown = make("span", { class: "quiet", role: "status" });
    const heads = this.#columns.map(({ title, kind }, index) =>
      make("th", { scope: "col", role: "columnheader", class: kind === "number" ? kind : "" },
        make("button", { type: "button", click: () => this.#sort(index) }, title)),
    );
    const body = make("tbody", { role: "rowgroup" });
    return {
      search,
      sorting,
      shown,
      heads,
      body,
      tools: make("div", { class: "tools" },
        make("label", {}, `Search ${name}`, search),
        make("label", { class: "sorting" }, "Sort by", sorting),
        shown),
      none: make("p", { class: "quiet" }, "None."),
      // The roles are those that the elements have anyway, until a telephone's style makes a list of them.
      table: make("table", { role: "table", "aria-label": name },
        make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
        body),
      more: make("button", { type: "button", class: "more", click: () => this.#showMore() }, "Show more"),
    };
  }

  #sort(by) {
    const isNumber = this.#columns[by].kind === "number";
    this.#sorted = { by, descending: this.#sorted.by === by ? !this.#sorted.descending : isNumber };
    this.#mark();
    this.#update();
  }

  #mark() {
    const { by, descending } = this.#sorted;
    this.#place.heads.forEach((head, index) => {
      if (index === by) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.#place.sorting.value = String(by);
  }

  #showMore() {
    this.#most += MOST_ROWS;
    this.#update();
  }

  #update() {
    const { search, shown, body, table, more, none, tools } = this.#place;
    const wanted = search.value.trim().toLowerCase();
    const found = this.#nodes.filter((node) => this.#texts(node).some((text) => text.toLowerCase().includes(wanted)));
    const chosen = this.#inOrder(found).slice(0, this.#most);
    tools.hidden = this.#nodes.length <= FEW && wanted === "";
    none.hidden = found.length > 0;
    table.hidden = found.length === 0;
    more.hidden = chosen.length === found.length;
    say(shown, `${count(chosen.length)} of ${count(this.#nodes.length)} shown`);
    const ids = new Set(chosen.map((node) => node.id));
    for (const [id, { row }] of this.#rows) {
      if (!ids.has(id)) {
        row.remove();
        this.#rows.delete(id);
      }
    }
    chosen.forEach((node, index) => {
      const row = this.#fill(node);
      if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
    });
  }

  #inOrder(nodes) {
    const { by, descending } = this.#sorted;
    const of = this.#columns[by].of;
    const sign = descending ? -1 : 1;
    return nodes
      .map((node) => [of(node), node])
      .sort(([a, one], [b, other]) => sign * compare(a, b) || compare(one.host, other.host))
      .map(([, node]) => node);
  }

  #fill(node) {
    let known = this.#rows.get(node.id);
    if (!known) {
      const cells = this.#columns.map(({ title, kind }) =>
        make("td", { role: "cell", class: kind ?? "", "data-title": title }, make("span")));
      known = { row: make("tr", { role: "row" }, ...cells), texts: cells.map((cell) => cell.firstChild) };
      this.#rows.set(node.id, known);
    }
    this.#columns.forEach(({ of, shown }, index) => say(known.texts[index], shown(of(node))));
    return known.row;
  }
}

const inWords = new Intl.Collator("en", { numeric: true }); // 192.0.2.9 comes before 192.0.2.10

// What isn't known comes first.
function compare(a, b) {
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? -1 : 1;
  if (typeof a === "string") return inWords.compare(a, b);
  return a < b ? -1 : 1;
}
