"use strict";
// Tables: sorted by the column whose name is selected, the other way round when selected again.
for (const table of document.querySelectorAll("[data-sort]")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const order = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.order === undefined ? cell.textContent : Number(cell.dataset.order);
  };
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const first = head.classList.contains("number") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const sort = head.getAttribute("aria-sort") === first ? other : first;
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", sort);
    const sign = sort === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [order(a, column), order(b, column)];
      return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
    });
    body.append(...rows);
  }));
}

// Flame graph: a block that is selected takes the whole width; selected again, all is as before.
for (const flame of document.querySelectorAll("[data-flame]")) {
  const blocks = [...flame.querySelectorAll("button")];
  const about = flame.parentElement.querySelector("[data-flame-about]");
  let chosen = null;
  const show = () => {
    const left = chosen ? Number(chosen.dataset.left) : 0;
    const width = chosen ? Number(chosen.dataset.width) : 100;
    for (const block of blocks) {
      const from = (Number(block.dataset.left) - left) / width * 100;
      const size = Number(block.dataset.width) / width * 100;
      const [start, end] = [Math.max(from, 0), Math.min(from + size, 100)];
      block.style.left = start + "%";
      block.style.width = (end - start) + "%";
      block.classList.toggle("off", end - start < 0.05);
      block.classList.toggle("thin", block.clientWidth < 26);
      block.classList.toggle("narrow", block.clientWidth < 130);
    }
  };
  for (const block of blocks) {
    block.addEventListener("click", () => {
      chosen = chosen === block ? null : block;
      show();
    });
    for (const event of ["pointerenter", "focus"]) {
      block.addEventListener(event, () => { about.textContent = block.title; });
    }
  }
  show();
  addEventListener("resize", show);
}

// Bars: a name that does not fit is left out; it stands below.
const bars = () => {
  for (const part of document.querySelectorAll(".part")) {
    part.classList.remove("tight");
    const text = part.firstElementChild;
    part.classList.toggle("tight", text.scrollWidth > text.clientWidth || part.clientWidth < 30);
  }
};
bars();
addEventListener("resize", bars);

// Charts: the values at the pointer.
for (const plot of document.querySelectorAll("[data-plot]")) {
  const area = plot.querySelector(".area");
  const lines = [...plot.querySelectorAll("[data-points]")].map((line) => ({
    name: line.dataset.name,
    ink: [...line.classList].find((name) => /^l\d$/.test(name)),
    points: line.dataset.points.split(" ").map((point) => point.split(",").map(Number)),
  }));
  const [end, unit] = [Number(plot.dataset.xMax), plot.dataset.unit];
  const cross = document.createElement("div");
  const read = document.createElement("div");
  cross.className = "cross";
  read.className = "read";
  const write = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });
  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    const nearest = (points) => points.reduce((a, b) => Math.abs(b[0] - share * end) < Math.abs(a[0] - share * end) ? b : a);
    const rows = lines.map((line) => [line, nearest(line.points)]);
    const at = rows[0][1][0];
    read.replaceChildren(write(at) + " s", ...rows.flatMap(([line, point]) => {
      const key = document.createElement("i");
      key.className = line.ink;
      return [document.createElement("br"), key, line.name + " " + write(point[1]) + " " + unit];
    }));
    area.append(cross, read);
    cross.style.left = at / end * 100 + "%";
    const room = box.width - read.offsetWidth - 10;
    read.style.left = Math.min(Math.max(at / end * box.width + 10, 0), Math.max(room, 0)) + "px";
  });
  area.addEventListener("pointerleave", () => { cross.remove(); read.remove(); });
}
