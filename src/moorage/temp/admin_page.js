// The admin page: asks the admin interface every two seconds, and shows what it says.
"use strict";

const EVERY = 2000;
const KEY = "moorage-admin-token";
const find = (id) => document.getElementById(id);
let seen = 0; // number of the last event that is shown
let dirty = false; // the form has been changed, and not applied
let draining = false;
let timer = 0;

// The token comes behind the # of the address, which no request carries; it is taken out of the address bar.
if (location.hash.length > 1) {
  sessionStorage.setItem(KEY, location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

class NeedsToken extends Error {}

async function ask(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  if (answer.status === 401) throw new NeedsToken();
  const text = await answer.text();
  const said = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(said?.error ?? `${answer.status} ${answer.statusText}`);
  return said;
}

// Words.

const NONE = "–"; // narrow screens leave it out

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function clock(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return NONE;
  const mebi = bytes / 1048576;
  return mebi < 999.5 ? `${Math.round(mebi)} MiB` : `${(mebi / 1024).toFixed(1)} GiB`;
}

const joined = (found, names) => (found ? names.map((name) => found[name]).join(" · ") : NONE);
const connections = (found) => joined(found, ["websockets", "requests", "unused"]);
const memoryOf = ({ limits, used }) =>
  limits?.memory ? `${used?.memory === undefined ? NONE : size(used.memory)} of ${size(limits.memory)}` : NONE;
const killsOf = ({ limits, used }) => (limits?.memory ? String(used?.kills ?? NONE) : NONE);
const cpusOf = ({ limits }) => (limits?.cpus ? String(limits.cpus) : NONE);
const limitsOf = (each) =>
  each.limits?.memory || each.limits?.cpus ? `${memoryOf(each)} · ${killsOf(each)} · ${cpusOf(each)}` : NONE;
const openFiles = (found) => joined(found, ["sockets", "pipes", "files", "others"]);

// Tables: rows stay the same elements, so that the keyboard's focus stays where it is.

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fill(table, rows, labels, button) {
  const body = table.tBodies[0];
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  rows.forEach(({ key, cells, classes }, place) => {
    let row = old.get(key);
    old.delete(key);
    if (!row) {
      row = document.createElement("tr");
      row.dataset.key = key;
      labels.forEach(([label, name]) => {
        const cell = row.insertCell();
        cell.dataset.label = label;
        cell.className = name;
      });
      if (button) {
        const made = document.createElement("button");
        made.className = "quiet small-one";
        made.type = "button";
        made.textContent = button.word;
        made.setAttribute("aria-label", `${button.word} ${key}`);
        made.addEventListener("click", () => button.press(key));
        const cell = row.insertCell();
        cell.append(made);
      }
    }
    cells.forEach((text, index) => put(row.cells[index], text));
    labels.forEach(([, name], index) => {
      const none = cells[index] === NONE ? "none" : "";
      row.cells[index].className = [name, classes?.[index], none].filter(Boolean).join(" ");
    });
    if (button) row.cells[cells.length].firstChild.disabled = button.off?.(key) ?? false;
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  for (const row of old.values()) row.remove();
  table.hidden = rows.length === 0;
}

const SERVER_LABELS = [
  ["Server", ""], ["State", ""], ["Offer", "offer"], ["Address", "address"], ["Age", "n"], ["Unused", "n"],
  ["Ends in", "n"], ["Memory", "n"], ["Of its limit, killed, processors", "n limits"], ["Websockets, requests, unused", "n"], ["Sockets, pipes, files, others", "n"],
];

function showServers(servers) {
  const table = find("servers");
  table.classList.toggle("one-offer", servers.every((each) => !each.offer));
  table.classList.toggle("no-limits", servers.every((each) => limitsOf(each) === NONE));
  table.classList.toggle("no-addresses", servers.every((each) => !each.address));
  const states = new Map(servers.map((each) => [each.id, each.state]));
  const rows = servers.map((each) => {
    const braked = each.brake && each.brake.state !== "full";
    const brake = braked ? (each.brake.state === "asked" ? ", braked and asked" : ", braked") : "";
    const state = each.spare ? (each.state === "ready" ? "spare" : `spare, ${each.state}`) : each.state + brake;
    return {
      key: each.id,
      cells: [
        each.id, state, each.offer || NONE, each.address || NONE, clock(each.age), clock(each.unused), clock(each.left),
        size(each.memory), limitsOf(each), connections(each.connections), openFiles(each.open_files),
      ],
      classes: ["", each.spare ? "spare" : braked ? "starting" : each.state, ...Array(6).fill(""), each.used?.kills ? "starting" : ""],
    };
  });
  fill(table, rows, SERVER_LABELS, { word: "End", press: end, off: (key) => states.get(key) === "ending" });
  put(find("servers-count"), servers.length ? String(servers.length) : "");
  find("no-servers").hidden = servers.length > 0;
}

function showInvitations(invitations) {
  find("invitations-section").hidden = invitations.length === 0;
  put(find("invitations-count"), String(invitations.length));
  const rows = invitations.map((each) => ({
    key: each.id,
    cells: [each.id, each.state, each.offer || NONE, `${each.taken} of ${each.seats}`, clock(each.left)],
    classes: ["", each.state === "open" ? "ready" : "spare"],
  }));
  const labels = [["ID", ""], ["State", ""], ["Offer", ""], ["Seats taken", "n"], ["Left", "n"]];
  const gone = new Set(invitations.filter((each) => ["withdrawn", "expired"].includes(each.state)).map((each) => each.id));
  fill(find("invitations"), rows, labels, { word: "Withdraw", press: withdraw, off: (key) => gone.has(key) });
}

function showRoutes(routes) {
  put(find("routes-count"), String(routes.length));
  const rows = routes.map((each) => ({
    key: each.path,
    cells: [each.path, each.target, `${clock(each.active)} ago`, connections(each.connections)],
  }));
  fill(find("routes"), rows, [["Path", ""], ["Leads to", ""], ["Last request", "n"], ["Connections", "n"]]);
}

function showEvents(events) {
  const list = find("events");
  const below = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
  for (const event of events) {
    seen = event.number;
    const [item, time, text] = ["li", "time", "span"].map((name) => document.createElement(name));
    const when = new Date(event.time * 1000);
    time.dateTime = when.toISOString();
    time.textContent = when.toLocaleTimeString([], { hour12: false });
    text.textContent = event.text;
    item.className = event.level;
    item.append(time, text);
    list.append(item);
  }
  while (list.children.length > 300) list.firstChild.remove();
  if (events.length && below) list.scrollTop = list.scrollHeight;
}

function showFigures(stats) {
  const { servers, spares, descriptors, counts } = stats;
  const figures = [
    ["Visitors with a server", stats.visitors, `${counts.started + counts.handed_out} since the start`],
    ["In the queue", stats.queue, stats.draining ? "it stands still" : "\u00a0"],
    ["Servers", `${servers.running} of ${stats.capacity}`, `${servers.starting} starting, ${servers.ending} ending, ${servers.asleep} asleep${servers.braked ? `, ${servers.braked} braked` : ""}`],
    ["Spares ready", `${spares.ready} of ${spares.wanted}`, `${spares.starting} starting`],
    ["Memory of servers", size(stats.memory), count(counts.failed, "failed start")],
    ["Descriptors", `${descriptors.open} of ${descriptors.limit}`,
      `${descriptors.visitors} visitors, ${descriptors.servers} servers, ${descriptors.unused} unused, ${count(descriptors.websockets, "websocket")}`],
  ];
  const list = find("figures");
  if (!list.children.length) {
    for (const [name] of figures) {
      const box = document.createElement("div");
      const [term, value, more] = ["dt", "dd", "span"].map((each) => document.createElement(each));
      term.textContent = name;
      value.append("", more);
      box.append(term, value);
      list.append(box);
    }
  }
  figures.forEach(([, value, more], place) => {
    const text = list.children[place].lastChild;
    if (text.firstChild.data !== String(value)) text.firstChild.data = String(value);
    put(text.lastChild, more);
  });
}

function showState(stats) {
  draining = stats.draining;
  const least = stats.fit < stats.capacity ? ` There is room for ${stats.fit} servers: ${stats.shortage} would be short.` : "";
  put(find("verdict"), (draining ? "Drained: no new visitors are let in." : `Up for ${clock(stats.uptime)}.`) + least);
  put(find("drained"), draining
    ? "No new visitors are let in. Those with a server keep it, and the queue stands still."
    : "New visitors are let in.");
  put(find("drain"), draining ? "Let visitors in again" : "Drain");
  put(find("version"), stats.moorage);
  if (!dirty) {
    const form = find("resize");
    form.capacity.value = stats.capacity;
    form.spares.value = stats.spares.each ?? "";
  }
}

// What is done.

async function sure(title, text, word) {
  const dialog = find("sure");
  put(find("sure-title"), title);
  put(find("sure-text"), text);
  put(find("sure-yes"), word);
  dialog.returnValue = "";
  const answer = new Promise((told) => dialog.addEventListener("close", () => told(dialog.returnValue === "yes"), { once: true }));
  dialog.showModal();
  return answer;
}

async function change(work, done) {
  try {
    await work();
    put(find("done"), done);
  } catch (error) {
    put(find("done"), `It was refused: ${error.message}`);
  }
  await look();
}

async function end(id) {
  const text = "Its visitor is told that the operator ended it. All that is in it is gone.";
  if (await sure(`End server ${id}?`, text, "End it")) {
    await change(() => ask("DELETE", `/api/servers/${id}`), `Server ${id} is being ended`);
  }
}

async function withdraw(id) {
  const text = "It lets in no further visitor. Servers that run go on.";
  if (await sure(`Withdraw invitation ${id}?`, text, "Withdraw it")) {
    await change(() => ask("DELETE", `/api/invitations/${id}`), `Invitation ${id} is withdrawn`);
  }
}

find("drain").addEventListener("click", async () => {
  if (draining) {
    await change(() => ask("DELETE", "/api/drain"), "New visitors are let in");
    return;
  }
  const text = "No new visitors are let in until you undo it. Those with a server keep it, the queue stands still, and spares are ended.";
  if (await sure("Let no new visitors in?", text, "Drain")) {
    await change(() => ask("POST", "/api/drain"), "No new visitors are let in");
  }
});

find("resize").addEventListener("input", () => { dirty = true; });
find("resize").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const wanted = { capacity: Number(form.capacity.value) };
  if (form.spares.value !== "") wanted.spares = Number(form.spares.value);
  await change(async () => {
    await ask("PATCH", "/api/settings", wanted);
    dirty = false;
  }, "The settings are changed");
});

find("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, find("token").value.trim());
  find("token").value = "";
  await look();
});

// Looks.

function trouble(text) {
  find("trouble").hidden = !text;
  put(find("trouble"), text);
}

async function look() {
  clearTimeout(timer);
  try {
    const [stats, servers, invitations, routes, events] = await Promise.all([
      ask("GET", "/api/stats"), ask("GET", "/api/servers"), ask("GET", "/api/invitations"),
      ask("GET", "/api/routes"), ask("GET", `/api/events?after=${seen}`),
    ]);
    find("sign-in").hidden = true;
    find("all").hidden = false;
    trouble("");
    showFigures(stats);
    showState(stats);
    showServers(servers.servers);
    showInvitations(invitations.invitations);
    showRoutes(routes.routes);
    showEvents(events.events.filter((event) => event.number > seen));
  } catch (error) {
    if (error instanceof NeedsToken) {
      const wrong = sessionStorage.getItem(KEY) !== null;
      sessionStorage.removeItem(KEY);
      find("all").hidden = true;
      if (find("sign-in").hidden || wrong) {
        find("sign-in").hidden = false;
        put(find("verdict"), "The token opens this page.");
        trouble(wrong ? "That token is not the one of this service." : "");
        find("token").focus();
      }
      return;
    }
    trouble(`The service does not answer. This page asks again every ${EVERY / 1000} seconds.`);
  }
  if (!document.hidden) timer = setTimeout(look, EVERY);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
