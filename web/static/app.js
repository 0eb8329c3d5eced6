// The page at "/": every URL is relative, so it works below any base path.
"use strict";

const byId = (id) => document.getElementById(id);
const root = new URL(".", location.href).href.replace(/\/$/, "");

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024;
    i++;
  }
  return (i && n < 10 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}

function figure(name, value) {
  const dt = document.createElement("dt");
  const dd = document.createElement("dd");
  dt.textContent = name;
  dd.textContent = value;
  const div = document.createElement("div");
  div.append(dt, dd);
  byId("store").append(div);
}

async function json(path, body) {
  const init = body
    ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
    : {};
  const reply = await fetch(path, init);
  if (!reply.ok) throw new Error(path + " answered " + reply.status);
  return reply.json();
}

async function showBuild() {
  const build = (await json("api/v1/status/buildinfo")).data;
  byId("version").textContent = "Version " + build.version;
}

async function showStore() {
  const store = (await json("api/v1/status/store")).data;
  byId("tenant-hint").hidden = !store.multitenancy;
  figure("profiles in memory", store.head_profiles.toLocaleString());
  figure("profiles in segments", store.segment_profiles.toLocaleString());
  figure("segments", store.segments.toLocaleString());
  figure("bytes of segments", bytes(store.segment_bytes));
  figure("bytes of the log", bytes(store.wal_bytes));
  figure("pushes since start", store.pushes.toLocaleString());
  if (store.segments_quarantined) figure("files set aside", store.segments_quarantined);
  return store;
}

async function showServices() {
  const now = Date.now();
  const day = 24 * 3600 * 1000;
  const reply = await json("querier.v1.QuerierService/LabelValues", {
    name: "service_name", start: now - day, end: now + 60000,
  });
  for (const name of reply.names || []) {
    const li = document.createElement("li");
    li.textContent = name;
    byId("services").append(li);
  }
  byId("services-title").hidden = !(reply.names || []).length;
}

async function start() {
  byId("url").textContent = root;
  byId("push").textContent = byId("push").textContent.replace("URL", root);
  byId("copy").addEventListener("click", () => navigator.clipboard?.writeText(root));
  try {
    await showBuild();
    const store = await showStore();
    if (!store.multitenancy) await showServices();
  } catch (error) {
    byId("problem").textContent = "Some of this could not be read: " + error.message;
  }
}

start();
