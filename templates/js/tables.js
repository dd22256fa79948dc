
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

  /// What a cell's value is of, where that is not the same in every row: values of different metrics do not
  /// compare, so those of one stand together, of the commonest first.
  const groupsOf = (rows, column) => {
    const groupOf = (row) => row.cells[column]?.dataset.of ?? "";
    const counts = new Map();
    for (const row of rows) if (sortKey(row, column) !== null) counts.set(groupOf(row), (counts.get(groupOf(row)) ?? 0) + 1);
    const order = [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one) || compare(one, other));
    const places = new Map(order.map((group, at) => [group, at]));
    return (row) => places.get(groupOf(row)) ?? 0;
  };

  const compare = (one, other) => {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), undefined, { numeric: true });
  };

  const sortTable = (table) => {
    const { column, direction } = sorted.get(table.id);
    const rows = [...table.tBodies[0].rows];
    const keyed = rows.map((row) => [sortKey(row, column), row]);
    const groupOf = groupsOf(rows, column);
    // Rows without a value come last in both directions.
    keyed.sort(([one, a], [other, b]) => (one === null || other === null
      ? (one === null) - (other === null)
      : groupOf(a) - groupOf(b) || direction * compare(one, other)));
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
