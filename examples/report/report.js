"use strict";
// Draws the report's charts, maps and confusion matrix as SVG, from the JSON in #data. Text goes in as text, never as
// HTML: names of classes and folders come from outside.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  function add(parent, name, attributes = {}, text) {
    const svg = name === "svg" || parent instanceof SVGElement;
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Round steps of 1, 2 or 5 times a power of ten: at most about `count` ticks.
  function ticks(low, high, count, whole) {
    const rough = (high - low) / Math.max(count, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
    if (whole) step = Math.max(1, Math.round(step));
    const list = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) list.push(i * step + 0);  // no -0
    return { list, decimals: clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 8) };
  }

  function written(value, decimals) {
    return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  }

  function exact(value, format) {
    if (format === "percent") return written(100 * value, 1) + " %";
    if (value !== 0 && Math.abs(value) < 0.1) return value.toPrecision(3);
    return written(value, Math.abs(value) >= 100 ? 0 : 3);
  }

  function tip_in(box) {
    const tip = add(box, "div", { class: "tip", role: "status" });
    return {
      show(x, y, lines) {
        tip.replaceChildren();
        for (const line of lines) add(tip, "div", {}, line);
        tip.style.display = "block";
        tip.style.left = clamp(x + 14, 0, Math.max(0, box.clientWidth - tip.offsetWidth)) + "px";
        if (x + 14 + tip.offsetWidth > box.clientWidth && x - 14 - tip.offsetWidth >= 0) {
          tip.style.left = x - 14 - tip.offsetWidth + "px";
        }
        tip.style.top = Math.max(0, y - tip.offsetHeight - 10) + "px";
      },
      hide() { tip.style.display = "none"; },
    };
  }

  // Calls `at` with the pointer's place in `svg`'s own units, `leave` when it goes.
  function follow(svg, at, leave) {
    const moved = (event) => {
      const box = svg.getBoundingClientRect();
      at(event.clientX - box.left, event.clientY - box.top);
    };
    svg.addEventListener("pointermove", moved);
    svg.addEventListener("pointerdown", moved);
    svg.addEventListener("pointerleave", leave);
  }

  // The index of the point whose x is nearest; xs rise.
  function nearest(points, x) {
    let low = 0, high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle; else high = middle;
    }
    return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? low : high;
  }

  function range_of(chart) {
    const points = chart.series.flatMap((s) => s.points);
    const xs = points.map((p) => p[0]).concat((chart.marks || []).map((m) => m.x));
    const ys = points.map((p) => p[1]).concat((chart.levels || []).map((l) => l.y));
    const least = (list) => list.reduce((a, b) => Math.min(a, b), Infinity);
    const most = (list) => list.reduce((a, b) => Math.max(a, b), -Infinity);
    let [x0, x1, y0, y1] = [least(xs), most(xs), least(ys), most(ys)];
    if (chart.min !== undefined) y0 = Math.min(y0, chart.min);
    if (x0 === x1) { x0 -= 1; x1 += 1; }
    const room = (y1 - y0) * 0.06 || Math.abs(y1) * 0.1 || 1;
    if (y0 !== chart.min) y0 -= room;
    return { x0, x1, y0, y1: y1 + room };
  }

  function draw_legend(box, chart) {
    if (chart.series.length + (chart.levels || []).length < 2) return;
    const legend = add(box, "div", { class: "legend" });
    const entry = (name, draw) => {
      const item = add(legend, "span");
      draw(add(item, "svg", { viewBox: "0 0 18 10", "aria-hidden": "true" }));
      add(item, "span", {}, name);
    };
    for (const series of chart.series) {
      entry(series.name, (svg) => series.style === "dots"
        ? add(svg, "circle", { class: "dot dots", cx: 9, cy: 5, r: 4 })
        : add(svg, "path", { class: "curve " + series.style, d: "M0 5H18" }));
    }
    for (const level of chart.levels || []) {
      entry(level.name + ", " + exact(level.y, chart.format),
            (svg) => add(svg, "path", { class: "level", d: "M0 5H18" }));
    }
  }

  // The vertical axis: values with their labels.
  function labels_of(chart, range, height) {
    const scale = chart.format === "percent" ? 100 : 1, up = ticks(scale * range.y0, scale * range.y1, height / 36);
    return up.list.map((value) => ({ value: value / scale, text: written(value, up.decimals) }));
  }

  function draw_axes(svg, chart, frame, place, labels) {
    const { left, right, bottom, height } = frame;
    const across = ticks(place.range.x0, place.range.x1, (right - left) / 80, true);
    for (const { value, text } of labels) {
      const y = place.y(value);
      add(svg, "path", { class: "grid", d: `M${left} ${y}H${right}` });
      add(svg, "text", { x: left - 8, y: y + 4, "text-anchor": "end" }, text);
    }
    for (const value of across.list) {
      const x = place.x(value);
      add(svg, "path", { class: "axis", d: `M${x} ${bottom}v5` });
      add(svg, "text", { x, y: bottom + 19, "text-anchor": "middle" }, written(value, 0));
    }
    add(svg, "path", { class: "axis", d: `M${left} ${bottom}H${right}` });
    add(svg, "text", { class: "x-label", x: (left + right) / 2, y: height - 2, "text-anchor": "middle" }, chart.x);
    add(svg, "text", { class: "y-label", x: 0, y: 11 }, chart.y + (chart.format === "percent" ? ", %" : ""));
  }

  function draw_chart(box, chart) {
    box.replaceChildren();
    draw_legend(box, chart);
    const width = Math.max(200, box.clientWidth), height = clamp(width * 0.5, 210, 330);
    const range = range_of(chart), labels = labels_of(chart, range, height - 62);
    const longest_label = labels.reduce((most, label) => Math.max(most, label.text.length), 4);
    const frame = { width, height, left: 14 + 8 * longest_label, right: width - 14, top: 24, bottom: height - 38 };
    const holder = add(box, "div", { style: "position:relative" });
    const svg = add(holder, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": chart.y + " over " + chart.x });
    const round = (value) => Math.round(100 * value) / 100;
    const place = {
      range,
      x: (v) => round(frame.left + (v - range.x0) / (range.x1 - range.x0) * (frame.right - frame.left)),
      y: (v) => round(frame.bottom - (v - range.y0) / (range.y1 - range.y0) * (frame.bottom - frame.top)),
    };
    draw_axes(svg, chart, frame, place, labels);
    for (const level of chart.levels || []) {
      const y = place.y(level.y);
      add(svg, "path", { class: "level", d: `M${frame.left} ${y}H${frame.right}` });
      add(svg, "text", { x: frame.right, y: y - 5, "text-anchor": "end" }, level.name);
    }
    for (const mark of chart.marks || []) {
      const x = place.x(mark.x), late = x > width / 2;
      add(svg, "path", { class: "mark", d: `M${x} ${frame.top}V${frame.bottom}` });
      add(svg, "text", { x: late ? x - 5 : x + 5, y: frame.top + 10, "text-anchor": late ? "end" : "start" }, mark.name);
    }
    for (const series of chart.series) {
      const points = series.points;
      if (series.style !== "dots") {
        const d = points.map((p, i) => (i ? "L" : "M") + place.x(p[0]) + " " + place.y(p[1])).join("");
        add(svg, "path", { class: "curve " + series.style, d, "data-points": points.length });
      }
      if (series.style === "dots" || (series.style === "line" && points.length <= 30)) {
        for (const p of points) add(svg, "circle", { class: "dot " + series.style, cx: place.x(p[0]), cy: place.y(p[1]), r: 4 });
      }
    }
    const cross = add(svg, "path", { class: "cross" });
    const tip = tip_in(holder);
    const longest = chart.series.reduce((a, b) => (b.points.length > a.points.length ? b : a));
    follow(svg, (x, y) => {
      const value = range.x0 + (x - frame.left) / (frame.right - frame.left) * (range.x1 - range.x0);
      const at = longest.points[nearest(longest.points, value)][0];
      const epoch = chart.steps_per_epoch > 0 ? ` (epoch ${Math.floor((at - 1) / chart.steps_per_epoch) + 1})` : "";
      const lines = [`${chart.x} ${written(at, 0)}${epoch}`];
      for (const series of chart.series) {
        const point = series.points[nearest(series.points, at)];
        const near = Math.abs(point[0] - at) <= (range.x1 - range.x0) / 100;
        if (near) lines.push(`${series.name}: ${exact(point[1], chart.format)}`);
      }
      cross.setAttribute("d", `M${place.x(at)} ${frame.top}V${frame.bottom}`);
      cross.style.opacity = 0.5;
      tip.show(place.x(at), y, lines);
    }, () => { cross.style.opacity = 0; tip.hide(); });
  }

  const palette = ["#3b78d8", "#e6842a", "#2f9e58", "#d2453f", "#8a63c9", "#9b6a4c", "#dd74b8", "#7d8793", "#b0a923", "#25a9bd"];
  function colour_of(label, count) {
    if (label < 0) return count > 0 ? "#8891a0" : palette[0];
    if (count <= palette.length) return palette[label];
    return `hsl(${(label * 360 / count).toFixed(1)} ${label % 2 ? 75 : 55}% ${[42, 56, 66][label % 3]}%)`;
  }

  let chosen = -1;  // the class that stands out on the maps
  function stress() {
    for (const spot of document.querySelectorAll(".spot")) {
      spot.classList.toggle("faint", chosen >= 0 && spot.dataset.label !== String(chosen));
    }
    for (const button of document.querySelectorAll("#map-legend button")) {
      button.setAttribute("aria-pressed", String(button.dataset.label === String(chosen)));
    }
  }

  function draw_map_legend(box, map) {
    map.classes.forEach((name, label) => {
      const button = add(box, "button", { type: "button", "aria-pressed": "false", "data-label": label });
      add(button, "i", { style: "background:" + colour_of(label, map.classes.length) });
      add(button, "span", {}, name);
      button.style.display = "inline-flex";
      button.addEventListener("click", () => { chosen = chosen === label ? -1 : label; stress(); });
    });
  }

  function draw_map(box, map, coordinates) {
    box.replaceChildren();
    const side = Math.max(200, Math.min(box.clientWidth, 560)), count = map.classes.length;
    const svg = add(box, "svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": "map of the features", style: `max-width:${side}px` });
    add(svg, "rect", { width: side, height: side, rx: 8, fill: "none", class: "axis" });
    const points = map.labels.map((label, i) => ({
      label, x: side / 2 + coordinates[2 * i] / 1000 * (side / 2 - 10), y: side / 2 - coordinates[2 * i + 1] / 1000 * (side / 2 - 10),
    }));
    const radius = points.length > 1000 ? 2.4 : points.length > 300 ? 3 : 4;
    for (const p of points) {
      add(svg, "circle", { class: "spot", "data-label": p.label, cx: p.x.toFixed(1), cy: p.y.toFixed(1), r: radius, fill: colour_of(p.label, count) });
    }
    const tip = tip_in(box);
    follow(svg, (x, y) => {
      let best = null, closest = 144;
      for (const p of points) {
        const d = (p.x - x) ** 2 + (p.y - y) ** 2;
        if (d < closest) { closest = d; best = p; }
      }
      if (best && best.label >= 0) tip.show(best.x, best.y, [map.classes[best.label]]); else tip.hide();
    }, tip.hide);
  }

  // A row's shares: blue on the diagonal, orange beside it, where the square root lets small ones show.
  function draw_confusion(box, matrix) {
    box.replaceChildren();
    const names = matrix.classes, n = names.length, width = Math.max(240, box.clientWidth);
    const named = n <= 20;
    const longest = names.reduce((a, b) => Math.max(a, b.length), 0);
    const margin = named ? clamp(6.4 * longest + 10, 40, Math.min(110, width * 0.28)) : 4;
    const cell = Math.min(46, (width - margin - 2) / n), height = margin + n * cell + 2;
    const svg = add(box, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "confusion matrix" });
    const short = (name) => { const room = Math.floor((margin - 10) / 6.4); return name.length > room ? name.slice(0, Math.max(1, room - 1)) + "…" : name; };
    const sums = names.map((_, r) => matrix.counts.slice(r * n, r * n + n).reduce((a, b) => a + b, 0));
    for (let r = 0; r < n; ++r) {
      if (named) {
        add(svg, "text", { x: margin - 6, y: margin + (r + 0.5) * cell + 4, "text-anchor": "end" }, short(names[r]));
        const x = margin + (r + 0.5) * cell + 4, y = margin - 6;
        add(svg, "text", { x, y, transform: `rotate(-90 ${x} ${y})` }, short(names[r]));
      }
      for (let c = 0; c < n; ++c) {
        const count = matrix.counts[r * n + c], share = sums[r] ? count / sums[r] : 0;
        if (count === 0 && !named) continue;
        const strength = r === c ? share : Math.sqrt(share);
        const gap = cell > 8 ? 1 : 0;
        add(svg, "rect", {
          class: "cell", x: (margin + c * cell).toFixed(2), y: (margin + r * cell).toFixed(2), width: (cell - gap).toFixed(2),
          height: (cell - gap).toFixed(2), rx: gap * 2, style: `fill:rgba(var(${r === c ? "--heat" : "--error"}),${(0.04 + 0.9 * strength).toFixed(3)})`,
        });
        if (named && cell >= 24 && count > 0) {
          const size = Math.min(11, cell * 1.55 / Math.max(2, String(count).length));
          add(svg, "text", {
            x: margin + (c + 0.5) * cell, y: margin + (r + 0.5) * cell + 4, "text-anchor": "middle",
            style: `font-size:${size}px;fill:${strength > 0.55 ? "#fff" : "var(--ink)"}`,
          }, count);
        }
      }
    }
    add(svg, "rect", { class: "axis", x: margin - 1, y: margin - 1, width: n * cell + 1, height: n * cell + 1, fill: "none" });
    const tip = tip_in(box);
    follow(svg, (x, y) => {
      const c = Math.floor((x - margin) / cell), r = Math.floor((y - margin) / cell);
      if (c < 0 || r < 0 || c >= n || r >= n) { tip.hide(); return; }
      const count = matrix.counts[r * n + c], share = sums[r] ? 100 * count / sums[r] : 0;
      tip.show(x, y, [r === c ? `${names[r]}, rightly` : `${names[r]}, taken for ${names[c]}`, `${written(count, 0)} of ${written(sums[r], 0)} (${share.toFixed(1)} %)`]);
    }, tip.hide);
  }

  function draw() {
    for (const box of document.querySelectorAll("[data-chart]")) draw_chart(box, data.charts[box.dataset.chart]);
    for (const box of document.querySelectorAll("[data-map]")) draw_map(box, data.map, data.map[box.dataset.map]);
    const confusion = document.getElementById("confusion-chart");
    if (confusion) draw_confusion(confusion, data.confusion);
    stress();
  }

  if (data.map) draw_map_legend(document.getElementById("map-legend"), data.map);
  draw();
  let width = document.body.clientWidth;
  window.addEventListener("resize", () => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    requestAnimationFrame(draw);
  });
})();
