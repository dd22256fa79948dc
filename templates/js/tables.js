
// Tables that sort by a click on a heading.
(() => {
  const sorted = new Map(); // table id → { column, direction }

  const sortKey = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
    const text = cell.textContent.trim();
    return text === "" ? null : text;
  };

  const compare = (one, other) => {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), undefined, { numeric: true });
  };

  const sortTable = (table) => {
    const { column, direction } = sorted.get(table.id);
    const rows = [...table.tBodies[0].rows];
    const keyed = rows.map((row) => [sortKey(row, column), row]);
    // Rows without a value come last in both directions.
    keyed.sort(([one], [other]) =>
      one === null || other === null ? (one === null) - (other === null) : direction * compare(one, other));
    const order = keyed.map(([, row]) => row);
    if (order.some((row, place) => row !== rows[place])) table.tBodies[0].append(...order);
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  };

  const prepareTables = (root) => {
    for (const table of root.querySelectorAll("table.sortable")) {
      for (const head of table.tHead.rows[0].cells) {
        if (head.querySelector("button")) continue;
        const button = root.ownerDocument.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
      }
      if (sorted.has(table.id)) sortTable(table);
    }
  };

  document.addEventListener("click", (event) => {
    const head = event.target.closest("table.sortable th");
    if (!head || !event.target.closest("button")) return;
    const table = head.closest("table");
    const column = head.cellIndex;
    const before = sorted.get(table.id);
    const direction = before && before.column === column ? -before.direction : 1;
    sorted.set(table.id, { column, direction });
    sortTable(table);
  });

  Object.assign(overnight, { prepareTables });
})();
