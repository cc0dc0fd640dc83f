"use strict";
(() => {
  // Tips: without this script the browser shows the same <title> texts, only later.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  for (const svg of document.querySelectorAll("svg.chart")) {
    const title = svg.querySelector(":scope > title");
    if (title) {
      svg.setAttribute("aria-label", title.textContent);
      svg.removeAttribute("aria-labelledby");
      title.remove();
    }
    for (const hit of svg.querySelectorAll(".hit")) {
      const text = hit.firstElementChild.textContent;
      hit.firstElementChild.remove();
      hit.addEventListener("pointermove", (event) => {
        tip.textContent = text;
        tip.hidden = false;
        const { offsetWidth: width, offsetHeight: height } = tip;
        const x = Math.min(event.clientX + 14, innerWidth - width - 8);
        const y = event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18;
        tip.style.transform = `translate(${Math.max(8, x)}px, ${y}px)`;
      });
      hit.addEventListener("pointerleave", () => { tip.hidden = true; });
    }
  }
  // Sorting: a click on a column's head; numbers by data-v or their digits, the rest by letters.
  const value = (cell) => {
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = cell.textContent.trim();
    return cell.classList.contains("n") ? Number(text.replaceAll(",", "")) : text;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if ("nosort" in head.dataset) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => {
          const [x, y] = [value(a.cells[column]), value(b.cells[column])];
          const order = typeof x === "number" ? x - y : x.localeCompare(y);
          return down ? -order : order;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }
})();
