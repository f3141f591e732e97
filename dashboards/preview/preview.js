// preview.html?dashboard=pool&prometheus=http://127.0.0.1:9090&seconds=300&scrape=1&var-app=orders
"use strict";

const CELL = { h: 30, gap: 8 };

// When annotated alerts began and ended to fire, and the panels on which that is marked.
async function firing(dashboard, prometheus) {
  const found = [];
  for (const { expr, filter } of dashboard.annotations.list)
    for (const { values } of await prometheus.range({ expr }))
      for (const [number, [time]] of values.entries())
        if (number && time - values[number - 1][0] <= prometheus.step({})) found.at(-1).end = time;
        else found.push({ start: time, end: time, panels: filter.ids });
  return found;
}

async function draw() {
  const asked = new URLSearchParams(location.search);
  const values = Object.fromEntries(VARIABLES.filter((name) => asked.has(`var-${name}`)).map((name) => [name, asked.get(`var-${name}`)]));
  const end = Number(asked.get("end") ?? Date.now() / 1000);
  const prometheus = new Prometheus(asked.get("prometheus"), Math.floor(end), Number(asked.get("seconds")), Number(asked.get("scrape")), values);
  const dashboard = await (await fetch(`../${asked.get("dashboard")}.json`)).json();
  const alerts = await firing(dashboard, prometheus);

  const header = document.querySelector("header");
  header.append(dashboard.title);
  for (const variable of dashboard.templating.list)
    if (!variable.hide) header.append(chip(`${variable.label}: ${values[variable.name] ?? "All"}`));
  header.append(chip(`the last ${duration(Number(asked.get("seconds")))}`, "right"));

  const main = document.querySelector("main");
  const column = innerWidth / 24;
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos;
    if (y * (CELL.h + CELL.gap) >= innerHeight) continue; // nobody sees it
    const section = document.createElement("section");
    Object.assign(section.style, {
      left: `${x * column + 4}px`, top: `${y * (CELL.h + CELL.gap)}px`,
      width: `${w * column - CELL.gap}px`, height: `${h * (CELL.h + CELL.gap) - CELL.gap}px`,
    });
    main.append(section);
    if (panel.type === "row") { section.className = "row"; section.textContent = `⌄ ${panel.title}`; continue; }
    const title = document.createElement("h2");
    title.textContent = panel.title;
    const box = document.createElement("div");
    section.append(title, box);
    await KINDS[panel.type](box, panel, prometheus, alerts.filter(({ panels }) => panels.includes(panel.id)));
  }
  document.title = "done";
}

function chip(words, kind = "") {
  const made = document.createElement("span");
  made.textContent = words;
  made.className = kind;
  return made;
}

draw().catch((error) => { document.body.textContent = `${error.stack}`; });
