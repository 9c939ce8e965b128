"use strict";
(() => {
  const number = (text) => {
    const found = /^[+\-−]?\d[\d,]*\.?\d*(e[+-]?\d+)?/.exec(text.trim());
    return found ? Number(found[0].replace(/,/g, "").replace("−", "-")) : NaN;
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return a.localeCompare(b, "en", { numeric: true });
  };
  const sort = (table, head, place) => {
    const down = head.getAttribute("aria-sort") === "descending";
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    const empty = (row) => ["–", ""].includes(row.cells[place].textContent.trim());
    rows.sort((a, b) => {
      if (empty(a) !== empty(b)) return empty(a) ? 1 : -1;
      const order = compare(a.cells[place].textContent, b.cells[place].textContent);
      return down ? order : -order;
    });
    table.tBodies[0].append(...rows);
  };
  const filter = (table) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    label.className = "filter";
    input.type = "search";
    label.append("Show rows with", input);
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    table.parentElement.before(label);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    if (table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      if (head.querySelector("a")) {
        button.setAttribute("aria-label", "Sort by " + head.textContent);
        head.append(button);
      } else {
        button.append(...head.childNodes);
        head.append(button);
      }
      button.addEventListener("click", () => sort(table, head, place));
    });
    if (table.tBodies[0].rows.length > 5) filter(table);
  }
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
})();
