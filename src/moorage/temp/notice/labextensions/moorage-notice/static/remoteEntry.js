// Tells in JupyterLab and Notebook when a temporary server is about to end, or has ended, and when the system
// has ended a process of it for want of memory.
// A prebuilt extension that needs no build: a container of webpack's module federation with one module.
"use strict";
(() => {
  const AT_ONCE = 2000, OFTEN = 15000, SELDOM = 60000; // milliseconds between looks

  const words = (seconds) =>
    seconds < 90 ? `${Math.max(0, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;

  const link = (text, href, button) => {
    const made = document.createElement("a");
    made.textContent = text;
    made.href = href;
    made.style.cssText = button
      ? "color:#fff;background:#1f5fbf;padding:4px 12px;border-radius:6px;text-decoration:none"
      : "color:inherit;text-decoration:underline";
    return made;
  };

  const start = () => {
    const server = /^\/user\/([^/]+)\//.exec(location.pathname);
    const own = server ? "/" : "/.moorage/"; // without that path the server has a host of its own
    const bar = document.createElement("div");
    bar.id = "moorage-notice";
    bar.setAttribute("role", "status");
    bar.style.cssText =
      "position:fixed;left:0;right:0;bottom:36px;margin:0 auto;width:fit-content;z-index:100000;display:none;gap:8px 16px;" +
      "flex-wrap:wrap;align-items:center;max-width:min(92vw,760px);padding:10px 16px;border-radius:10px;" +
      "background:#1d2430;color:#fff;font:14px/1.5 system-ui,sans-serif;box-shadow:0 4px 18px #0006";
    const text = document.createElement("span");
    const close = document.createElement("button");
    close.textContent = "Hide";
    close.style.cssText =
      "color:inherit;background:none;border:1px solid #fff8;border-radius:6px;padding:3px 10px;font:inherit;cursor:pointer";
    let until = null, told = 0, hidden = 0, idle = false, over = false, memory = null;
    const key = `moorage-kills-${server ? server[1] : ""}`; // how many are known, in this tab
    let known = 0;
    try { known = Number(sessionStorage.getItem(key)); } catch { /* then a reload tells them again */ }
    close.onclick = () => {
      hidden = Date.now() + 120000; // and the last minute is told again
      known = memory ? memory.kills : known;
      try { sessionStorage.setItem(key, known); } catch { /* as above */ }
      show();
    };
    const download = link("Download your files", `${own}download`);
    const again = link("Get a new one", server ? "/" : `${own}front`, true);
    bar.append(text, download, again, close);
    document.body.append(bar);

    const show = () => {
      const left = until === null ? Infinity : (until - Date.now()) / 1000;
      const ends = left < told && (Date.now() > hidden || left < 60);
      const killed = memory !== null && memory.kills > known;
      bar.style.display = over || ends || killed ? "flex" : "none";
      if (over || !(ends || killed)) return;
      const end = `This server ends in ${words(left)}` + (idle ? ", unless it is used." : ". All in it is gone then.");
      const said = [killed ? memory.words : "", ends ? end : ""].filter(Boolean).join(" ");
      download.style.display = ends ? "" : "none";
      if (text.textContent !== said) text.textContent = said;
      again.style.display = "none";
    };

    const look = async () => {
      try {
        const answer = await fetch(`${own}time-left?server=${server ? server[1] : ""}`, { cache: "no-store" });
        if (!answer.ok) return SELDOM;
        const said = await answer.json();
        over = said.ended !== null;
        idle = said.idle;
        told = said.told;
        memory = said.memory ?? null; // null where it is not bounded
        until = said.seconds === null ? null : Date.now() + said.seconds * 1000;
        if (over) {
          text.textContent = `This server has ended: ${said.ended}.`;
          download.style.display = close.style.display = "none";
          again.style.display = "";
        }
        show();
        if (until === null || said.seconds > 2 * told + 60) return memory ? OFTEN : SELDOM;
        return said.seconds < 5 ? AT_ONCE : Math.min(OFTEN, said.seconds * 1000);
      } catch {
        return OFTEN; // the service is started anew, or the network is away
      }
    };
    const again_and_again = async () => setTimeout(again_and_again, over ? SELDOM : await look());
    setInterval(show, 1000);
    again_and_again();
  };

  const plugin = { id: "moorage-notice:plugin", autoStart: true, activate: start };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["moorage-notice"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
