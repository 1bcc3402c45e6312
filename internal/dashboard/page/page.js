// The page asks for the status once a second and shows it. Everything that a
// stranger may have chosen (paths, user agents) is set as text, never as HTML.
"use strict";
const $ = (id) => document.getElementById(id);
const history = [];
const shown = 6; // mitigations told one by one

function cell(row, text, cls, label) {
  const td = document.createElement("td");
  td.textContent = text;
  if (label) td.dataset.label = label; // read by the style sheet, where the screen is narrow
  if (cls) td.className = cls;
  row.append(td);
}

function number(n) { return Math.round(n || 0).toLocaleString("en"); }

function ms(ns) { return ns ? (ns / 1e6).toFixed(ns < 1e7 ? 1 : 0) + " ms" : "–"; }

function clock(t) { return t && !t.startsWith("0001") ? new Date(t).toLocaleTimeString([], { hourCycle: "h23" }) : "lifted"; }

function headline(s) {
  const watching = s.mode === "watch" ? "Watching: nobody is stopped. " : "";
  return watching + news(s);
}

function news(s) {
  if (s.state === "off") return "Switched off: everything passes. `seawall on` defends again.";
  if (s.attack) {
    const from = countries(s.attack.countries);
    return `An attack since ${clock(s.attack.since)}: ${number(s.attack.peak)} requests a second at its peak, usual are ${number(s.attack.normal)}.` +
      (from ? ` Refused from ${from}.` : "");
  }
  const packets = (s.packet_attacks || [])[0];
  if (packets) {
    return `A flood of packets since ${clock(packets.since)}: ${packets.what}, ${number(packets.peak)} a second at its peak, usual are ${number(packets.normal)}. ${packets.doing}`;
  }
  const found = headlined(s);
  if (found) return `Found since ${clock(found.since)}: ${rates(found)}. ${found.doing}`;
  const last = [...(s.attacks || []), ...(s.packets_ended || [])].sort((a, b) => Date.parse(b.ended) - Date.parse(a.ended))[0];
  return last ? `Calm. The last attack ended at ${clock(last.ended)}.` : "Calm.";
}

// headlined is the finding that is the news: the first that has rates, where nothing worse
// runs. One without a unit is only to be known.
function headlined(s) {
  if (s.state === "off" || s.attack || (s.packet_attacks || []).length) return undefined;
  return (s.findings || []).find((f) => f.unit);
}

function rates(f) {
  return f.unit ? `${f.what}, ${number(f.peak)} ${f.unit} at most, usual are ${number(f.normal)}` : f.what;
}

// found tells what is found besides the headline.
function found(s) {
  const news = headlined(s);
  $("found").replaceChildren(...(s.findings || []).filter((f) => f !== news).map((f) => {
    const li = document.createElement("li");
    const name = (f.vector || "").replaceAll("-", " ");
    li.textContent = `${name.charAt(0).toUpperCase()}${name.slice(1)}: ${rates(f)}. ${f.doing}`;
    return li;
  }));
  const troubles = s.troubles || [];
  $("troubles").textContent = troubles.length ? `Does not work: ${troubles.join("; ")}` : "";
}

// countries lists where the refused addresses are registered, most first.
function countries(counts) {
  const list = Object.entries(counts || {}).sort((a, b) => b[1] - a[1]);
  const total = list.reduce((sum, [, n]) => sum + n, 0);
  return list.slice(0, 4).map(([name, n]) => `${name} ${Math.round(100 * n / total)} %`).join(", ");
}

function felt(w) {
  let offered = 0, served = 0, p99 = 0;
  for (const f of (w.felt || []).slice(1)) { // those who hold a clearance
    offered += f.offered; served += f.served; p99 = Math.max(p99, f.p99);
  }
  const rows = [
    ["visitors' requests served", offered ? (100 * served / offered).toFixed(1) + " %" : "–"],
    ["slowest in a hundred", ms(p99)],
    ["requests a second", number(w.offered / (w.span / 1e9))],
    ["refused a second", number(w.refused / (w.span / 1e9))],
    ["different addresses", number(w.clients)],
  ];
  $("felt").replaceChildren(...rows.map(([name, value]) => {
    const box = document.createElement("div");
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value;
    box.append(dt, dd);
    return box;
  }));
}

function plot() {
  const top = Math.max(10, ...history.map((h) => h.in + h.out));
  const bars = [];
  history.forEach((h, i) => {
    for (const [cls, from, n] of [["in-bar", 0, h.in], ["out-bar", h.in, h.out]]) {
      const r = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const height = 118 * n / top;
      r.setAttribute("class", cls);
      r.setAttribute("x", 600 - 5 * (history.length - i));
      r.setAttribute("width", 4);
      r.setAttribute("y", 120 - 118 * from / top - height);
      r.setAttribute("height", height);
      bars.push(r);
    }
  });
  $("plot").replaceChildren(...bars);
  $("peak").textContent = `highest shown: ${number(top)} a second`;
}

// because is why; a rule's name is told, too.
function because(m) {
  const note = m.note || "";
  return m.name && !note.includes(m.name) ? `${m.name}: ${note}` : note;
}

// doing shows what hits most; the machine's bans of single addresses, of which
// there may be thousands, are only counted.
function doing(s) {
  const ban = (m) => m.by === "machine" && m.action !== "admit" && /^client\.within\("[^"]*"\)$/.test(m.match || "");
  const list = (s.mitigations || []).filter((m) => !ban(m)).sort((a, b) => (b.hits || 0) - (a.hits || 0));
  const rows = list.slice(0, shown).map((m) => {
    const tr = document.createElement("tr");
    cell(tr, m.id, "", "no.");
    cell(tr, m.dry_run ? m.action + " (dry run)" : m.action, "", "does");
    cell(tr, m.match || "", "text match", "to");
    cell(tr, because(m), "text", "because");
    cell(tr, number(m.hits), "number", "hits");
    cell(tr, m.by === "rule" ? "the file changes" : clock(m.until), "", "until");
    return tr;
  });
  if (!rows.length) {
    const tr = document.createElement("tr");
    cell(tr, s.bans ? "Nothing but the bans below." : "Nothing: every visitor is let in.", "text");
    tr.firstChild.colSpan = 6;
    rows.push(tr);
  }
  $("doing").replaceChildren(...rows);
  const more = [], rest = (s.active || 0) - (s.bans || 0) - Math.min(list.length, shown);
  if (s.bans) more.push(`${number(s.bans)} addresses that went on after being refused are banned for a time`);
  if (rest > 0) more.push(`${number(rest)} more`);
  $("more").textContent = more.length ? `Also: ${more.join("; ")}. All of it: seawall mitigations.` : "";
}

function steps(list) {
  $("steps").replaceChildren(...(list || []).slice(-30).reverse().map((r) => {
    const li = document.createElement("li"), t = document.createElement("time");
    t.textContent = clock(r.at);
    li.append(t, r.text);
    return li;
  }));
}

async function tick() {
  try {
    const r = await fetch("api/v1/status");
    if (!r.ok) throw new Error(`the admin API answered ${r.status}`);
    const s = await r.json();
    $("state").textContent = s.state;
    $("state").className = s.state;
    $("headline").textContent = headline(s);
    found(s);
    if (s.window) {
      const secs = s.window.span / 1e9 || 1;
      history.push({ in: s.window.admitted / secs, out: s.window.refused / secs });
      if (history.length > 120) history.shift();
      felt(s.window);
      plot();
    }
    doing(s);
    steps(s.records);
  } catch (e) {
    $("state").textContent = "no answer";
    $("state").className = "attack";
    $("headline").textContent = `Seawall does not answer here: ${e.message}.`;
  }
  setTimeout(tick, 1000);
}
tick();
