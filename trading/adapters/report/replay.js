"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const NS = document.getElementById("svg").namespaceURI; // the page names no address, not even this one
const css = (name) => `var(--${name})`;
const svg = (tag, attrs, parent, text) => {
  const node = document.createElementNS(NS, tag);
  for (const key in attrs) node.setAttribute(key, attrs[key]);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
};
const el = (tag, attrs, parent, text) => {
  const node = document.createElement(tag);
  for (const key in attrs) key === "class" ? (node.className = attrs[key]) : node.setAttribute(key, attrs[key]);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
};
const fixed = (x, digits) => x.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const money = (x) => fixed(+x, Math.abs(+x) >= 1000 ? 2 : 4);
const signed = (x) => (+x > 0 ? "+" : "") + money(x);
const clock = (s, withMs) => {
  const text = new Date((D.first_s + s) * 1000).toISOString();
  return withMs ? text.slice(11, 23) : text.slice(11, 19);
};
const ticks = (lo, hi, count) => {
  const raw = (hi - lo) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 2.5, 5, 10].find((m) => m * power >= raw * 0.999) || 10);
  const out = [];
  for (let x = Math.ceil(lo / step) * step; x <= hi + step * 1e-9; x += step) out.push(Math.abs(x) < step * 1e-9 ? 0 : x);
  return { at: out, digits: Math.max(0, Math.min(10, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0))) };
};

// --- charts over time share one window -----------------------------------------------------------------------------
const span = [0, Math.max(D.seconds, 0.001)];
let view = span.slice();
const timeCharts = [];
const WIDTH = 1100, LEFT = 74, RIGHT = 12, TOP = 8, BOTTOM = 22;

function timeChart(id, height, series, options) {
  const chart = { id, height, series, options };
  chart.draw = () => drawTime(chart);
  timeCharts.push(chart);
  chart.draw();
  return chart;
}

function within(series) {
  const [x] = series, lo = lower(x, view[0]), hi = lower(x, view[1]);
  return [Math.max(0, lo - 1), Math.min(x.length, hi + 2)];
}
function lower(array, value) {
  let lo = 0, hi = array.length;
  while (lo < hi) { const mid = (lo + hi) >> 1; array[mid] < value ? (lo = mid + 1) : (hi = mid); }
  return lo;
}

function drawTime(chart) {
  const host = $(chart.id), { height, options } = chart;
  host.replaceChildren();
  const shown = chart.series.filter((s) => !s.hidden);
  if (options.legend) legend(host, shown);
  let lo = options.zero ? 0 : Infinity, hi = options.zero ? 0 : -Infinity;
  for (const s of shown) {
    const [a, b] = within(s.xy);
    for (let i = a; i < b; i++) { const y = s.xy[1][i]; if (y === null) continue; if (y < lo) lo = y; if (y > hi) hi = y; }
  }
  for (const mark of options.marks ? options.marks() : []) {
    if (mark.t >= view[0] && mark.t <= view[1]) { lo = Math.min(lo, mark.y); hi = Math.max(hi, mark.y); }
  }
  if (!(hi >= lo)) { lo = 0; hi = 1; }
  const pad = (hi - lo) * 0.06 || Math.abs(hi) * 0.001 || 1;
  if (!options.zero || lo < 0) lo -= pad;
  if (!options.zero || hi > 0) hi += pad;
  if (hi === lo) { lo -= 1; hi += 1; }
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": options.label }, host);
  const X = (t) => LEFT + ((t - view[0]) / (view[1] - view[0])) * (WIDTH - LEFT - RIGHT);
  const Y = (y) => TOP + ((hi - y) / (hi - lo)) * (height - TOP - BOTTOM);
  const scale = ticks(lo, hi, Math.max(2, Math.round(height / 55)));
  for (const y of scale.at) {
    svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: Y(y), y2: Y(y), class: options.zero && y === 0 ? "zero" : "grid" }, root);
    svg("text", { x: LEFT - 8, y: Y(y) + 4, "text-anchor": "end" }, root, fixed(y, scale.digits));
  }
  const seconds = ticks(view[0], view[1], 8);
  for (const t of seconds.at) svg("text", { x: X(t), y: height - 5, "text-anchor": "middle" }, root, clock(t, view[1] - view[0] < 8));
  const clip = `clip-${chart.id}`;
  svg("rect", { x: LEFT, y: 0, width: WIDTH - LEFT - RIGHT, height }, svg("clipPath", { id: clip }, svg("defs", {}, root)));
  const plot = svg("g", { "clip-path": `url(#${clip})` }, root);
  for (const s of shown) drawSeries(plot, s, X, Y);
  for (const mark of options.marks ? options.marks() : []) {
    if (mark.t < view[0] || mark.t > view[1]) continue;
    const x = X(mark.t), y = Y(mark.y), up = mark.side === "BUY" ? 1 : -1;
    svg("path", { d: `M${x} ${y - 6 * up}L${x + 5.5} ${y + 4 * up}L${x - 5.5} ${y + 4 * up}Z`, fill: mark.maker ? css(up > 0 ? "good" : "bad") : css("card"),
      stroke: css(up > 0 ? "good" : "bad"), "stroke-width": 1.6 }, plot);
  }
  const cross = svg("line", { y1: TOP, y2: height - BOTTOM, stroke: css("ink3"), "stroke-dasharray": "3 3", visibility: "hidden" }, root);
  listen(root, cross, chart, shown);
}

function drawSeries(plot, s, X, Y) {
  const [a, b] = within(s.xy), [x, y] = s.xy;
  const step = Math.max(1, Math.floor((b - a) / 2400));
  let d = "", open = false, first = 0, last = 0;
  for (let i = a; i < b; i += step) {
    if (y[i] === null) { open = false; continue; }
    d += `${open ? "L" : "M"}${X(x[i]).toFixed(1)} ${Y(y[i]).toFixed(1)}`;
    if (!open) first = x[i];
    last = x[i];
    open = true;
  }
  if (!d) return;
  if (s.area) svg("path", { d: `${d}L${X(last)} ${Y(0)}L${X(first)} ${Y(0)}Z`, fill: s.color, "fill-opacity": 0.18 }, plot);
  svg("path", { d, fill: "none", stroke: s.color, "stroke-width": s.width || 2, "stroke-linejoin": "round", "stroke-dasharray": s.dash || "none" }, plot);
}

function legend(host, shown) {
  const box = el("div", { class: "legend" }, host);
  for (const s of shown) { const item = el("span", {}, box); el("i", { style: `background:${s.color}` }, item); item.append(s.name); }
}

function listen(root, cross, chart, shown) {
  const timeAt = (event) => {
    const box = root.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    return view[0] + Math.min(1, Math.max(0, (x - LEFT) / (WIDTH - LEFT - RIGHT))) * (view[1] - view[0]);
  };
  let from = null;
  root.addEventListener("pointermove", (event) => {
    const t = timeAt(event);
    const x = LEFT + ((t - view[0]) / (view[1] - view[0])) * (WIDTH - LEFT - RIGHT);
    cross.setAttribute("x1", x); cross.setAttribute("x2", x); cross.setAttribute("visibility", "visible");
    const lines = [clock(t, true)];
    for (const s of shown) {
      const i = Math.max(0, lower(s.xy[0], t + 1e-9) - 1);
      if (s.xy[0].length && s.xy[1][i] !== null) lines.push(`${s.name}  ${chart.options.format(s.xy[1][i])}`);
    }
    const near = (chart.options.marks ? chart.options.marks() : []).filter((m) => Math.abs(m.t - t) < (view[1] - view[0]) / 150).slice(0, 6);
    for (const m of near) lines.push(m.text);
    tip(event, lines.join("\n"));
  });
  root.addEventListener("pointerleave", () => { cross.setAttribute("visibility", "hidden"); $("tip").hidden = true; });
  root.addEventListener("pointerdown", (event) => { from = timeAt(event); });
  root.addEventListener("pointerup", (event) => {
    const to = timeAt(event), width = Math.abs(to - from);
    if (from !== null && width > (view[1] - view[0]) / 100) zoom([Math.min(from, to), Math.max(from, to)]);
    from = null;
  });
  root.addEventListener("dblclick", () => zoom(span.slice()));
}
function zoom(window) { view = window; $("tip").hidden = true; timeCharts.forEach((chart) => chart.draw()); }
function tip(event, text) {
  const box = $("tip");
  box.textContent = text; box.hidden = false;
  const width = box.offsetWidth;
  box.style.left = `${event.clientX + 16 + width > innerWidth ? event.clientX - width - 12 : event.clientX + 16}px`;
  box.style.top = `${Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8)}px`;
}

// --- markouts: one place for each horizon --------------------------------------------------------------------------
function markoutChart(id, curves, labels) {
  const host = $(id), used = curves.filter((c) => c.points.length), W = 540, H = 300, L = 52;
  if (!used.length) { el("p", { class: "none" }, host, "No fill, no markout."); return; }
  used.forEach((c, i) => { c.color = css(["one", "two", "three"][i % 3]); c.name = `${c.label} (${c.fills})`; });
  legend(host, used);
  let lo = 0, hi = 0;
  for (const c of used) for (const p of c.points) { lo = Math.min(lo, p[1] - p[2]); hi = Math.max(hi, p[1] + p[2]); }
  const pad = (hi - lo) * 0.08 || 1; lo -= pad; hi += pad;
  const root = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "markout by horizon" }, host);
  const X = (i) => L + 16 + (i / (labels.length - 1)) * (W - L - 36), Y = (y) => 8 + ((hi - y) / (hi - lo)) * (H - 48);
  const scale = ticks(lo, hi, 5);
  for (const y of scale.at) {
    svg("line", { x1: L, x2: W - 8, y1: Y(y), y2: Y(y), class: y === 0 ? "zero" : "grid" }, root);
    svg("text", { x: L - 7, y: Y(y) + 4, "text-anchor": "end" }, root, fixed(y, scale.digits));
  }
  labels.forEach((text, i) => svg("text", { x: X(i), y: H - 22, "text-anchor": "middle" }, root, text));
  svg("text", { x: (W + L) / 2, y: H - 5, "text-anchor": "middle" }, root, "seconds after the fill");
  used.forEach((c, k) => {
    const shift = (k - (used.length - 1) / 2) * 5;
    const place = (p) => X(p[0]) + shift;
    svg("path", { d: c.points.map((p, i) => `${i ? "L" : "M"}${place(p)} ${Y(p[1])}`).join(""), fill: "none", stroke: c.color, "stroke-width": 2 }, root);
    for (const p of c.points) {
      svg("line", { x1: place(p), x2: place(p), y1: Y(p[1] - p[2]), y2: Y(p[1] + p[2]), stroke: c.color, "stroke-opacity": 0.55 }, root);
      const dot = svg("circle", { cx: place(p), cy: Y(p[1]), r: 4, fill: c.color, stroke: css("card"), "stroke-width": 2 }, root);
      dot.addEventListener("pointermove", (event) => tip(event, `${c.label}, ${labels[p[0]]} s\n${fixed(p[1], 3)} ± ${fixed(p[2], 3)} bps, ${p[3]} fills`));
      dot.addEventListener("pointerleave", () => { $("tip").hidden = true; });
    }
  });
}

// --- tables --------------------------------------------------------------------------------------------------------
function table(id, head, rows, none, classes) {
  const host = el("div", { class: "scroll" }, $(id));
  if (!rows.length) { el("p", { class: "none" }, host, none); return; }
  const node = el("table", {}, host), line = el("tr", {}, el("thead", {}, node)), body = el("tbody", {}, node);
  const kind = (cell) => (cell.startsWith("#") ? { class: "n" } : cell.startsWith("?") ? { class: "why" } : {});
  for (const cell of head) el("th", kind(cell), line, cell.replace(/^[#?]/, ""));
  rows.forEach((row, i) => {
    const tr = el("tr", classes && classes[i] ? { class: classes[i] } : {}, body);
    row.forEach((cell, j) => {
      const td = el("td", kind(head[j]), tr);
      if (cell && cell.code) el("code", {}, td, cell.code);
      else if (cell && cell.signed !== undefined) { td.textContent = signed(cell.signed); td.classList.add(+cell.signed < 0 ? "bad" : +cell.signed > 0 ? "good" : "n"); }
      else td.textContent = cell;
    });
  });
}

// --- the page ------------------------------------------------------------------------------------------------------
$("title").textContent = D.title;
$("subtitle").textContent = D.subtitle;
for (const t of D.tiles) {
  const box = el("div", { class: "tile" }, $("tiles"));
  el("span", {}, box, t.label);
  el("b", t.signed ? { class: +t.value < 0 ? "bad" : +t.value > 0 ? "good" : "" } : {}, box, t.signed ? signed(t.value) : t.value);
  el("small", {}, box, t.note);
}
if (D.verdict) { $("verdict").textContent = D.verdict; $("verdict").hidden = false; }
const m = D.marks, deep = [];
let peak = 0;
for (const y of m.pessimistic) { peak = Math.max(peak, y); deep.push(y - peak); }
timeChart("equity", 250, [
  { name: "pessimistic queue", color: css("one"), xy: [m.t, m.pessimistic] },
  { name: "probabilistic queue", color: css("two"), xy: [m.t, m.probabilistic], dash: "7 5" },
], { label: "equity over time", legend: true, zero: true, format: signed });
timeChart("drawdown", 110, [{ name: "drawdown", color: css("bad"), xy: [m.t, deep], area: true, width: 1.4 }], { label: "drawdown over time", zero: true, format: signed });
for (const id of D.fills_note ? ["fills_note", "fills_list_note"] : []) {
  $(id).textContent = D.fills_note;
  $(id).hidden = false;
}
const fillMarks = {};
for (const name of ["pessimistic", "probabilistic"]) {
  fillMarks[name] = D.fills.filter((f) => f.model === name).map((f) => ({ t: f.t, y: f.price, side: f.side, maker: f.maker,
    text: `${f.side} ${f.qty} @ ${f.price_text}  ${f.maker ? "maker" : "taker"}  ${f.reason}` }));
}
let chosen = "pessimistic";
const price = timeChart("price", 340, [{ name: "mid", color: css("ink3"), xy: [m.t, m.mid], width: 1.3 }],
  { label: "price and fills over time", format: (y) => fixed(y, D.price_digits + 1), marks: () => fillMarks[chosen] });
for (const name of ["pessimistic", "probabilistic"]) {
  const button = el("button", { type: "button", "aria-pressed": name === chosen }, $("model"), `${name} (${fillMarks[name].length})`);
  button.addEventListener("click", () => {
    chosen = name;
    for (const other of $("model").children) other.setAttribute("aria-pressed", other === button);
    price.draw();
  });
}
markoutChart("markout", D.markouts, D.horizons);
table("models", ["", "#pessimistic", "#probabilistic", "#difference"], D.models, "");
const most = Math.max(1, ...D.refusals.map((r) => r[1]));
if (!D.refusals.length) el("p", { class: "none" }, $("refusals"), "Nothing was refused.");
for (const [name, count] of D.refusals) {
  const bar = el("div", { class: "bar" }, $("refusals"));
  el("span", {}, bar, name);
  el("div", { style: `width:${(100 * count) / most}%` }, bar);
  el("em", {}, bar, fixed(count, 0));
}
table("exits", ["Reason", "#Orders", "#Fills", "#Won", "#Value sold", "#Gross", "#Fees", "#Net", "#bps of value", "#Held, s"], D.exits.rows, "Nothing was sold.", D.exits.classes);
table("params", ["Name", "#Value", "Unit", "?What it does"], D.params.rows, "", D.params.classes);
table("input", ["What", "Value"], D.input, "");
table("limits", ["Name", "#Value", "Unit"], D.limits, "");
table("fills", ["Time", "Queue", "Side", "#Quantity", "#Price", "#Fee", "Role", "Why", "Order"], D.fills.map((f) =>
  [clock(f.t, true), f.model, f.side, f.qty, f.price_text, f.fee, f.maker ? "maker" : "taker", f.reason, { code: f.order }]), "No fills.");
