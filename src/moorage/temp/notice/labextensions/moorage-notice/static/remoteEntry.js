// Tells in JupyterLab and Notebook when a temporary server is about to end, or has ended, when the system has
// ended a process of it for want of memory, and when it has computed for long without its visitor.
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
      "flex-wrap:wrap;align-items:center;box-sizing:border-box;max-width:min(94vw,1080px);padding:10px 16px;border-radius:10px;" +
      "background:#1d2430;border:1px solid #fff3;color:#fff;font:14px/1.5 system-ui,sans-serif;box-shadow:0 4px 18px #0006";
    const text = document.createElement("span");
    const close = document.createElement("button");
    close.textContent = "Hide";
    close.style.cssText =
      "color:inherit;background:none;border:1px solid #fff8;border-radius:6px;padding:3px 10px;font:inherit;cursor:pointer";
    let until = null, told = 0, hidden = 0, idle = false, over = false, memory = null, brake = null, unasked = false;
    const key = `moorage-kills-${server ? server[1] : ""}`; // how many are known, in this tab
    let known = 0;
    try { known = Number(sessionStorage.getItem(key)); } catch { /* then a reload tells them again */ }
    close.onclick = () => {
      hidden = Date.now() + 120000; // and the last minute is told again
      unasked = true; // until it is asked anew
      known = memory ? memory.kills : known;
      try { sessionStorage.setItem(key, known); } catch { /* as above */ }
      show();
    };
    const download = link("Download your files", `${own}download`);
    const again = link("Get a new one", server ? "/" : `${own}front`, true);
    const whole = document.createElement("button");
    whole.textContent = "Go on with the whole share";
    whole.style.cssText =
      "color:#fff;background:#1f5fbf;border:1px solid #1f5fbf;border-radius:6px;padding:3px 12px;font:inherit;cursor:pointer";
    whole.onclick = async () => {
      whole.disabled = true;
      try {
        await fetch(`${own}whole-share?server=${server ? server[1] : ""}`, { method: "POST" });
      } catch { /* then the question stays */ }
      await look();
      whole.disabled = false;
    };
    bar.append(text, whole, download, again, close);
    document.body.append(bar);

    const show = () => {
      const left = until === null ? Infinity : (until - Date.now()) / 1000;
      const ends = left < told && (Date.now() > hidden || left < 60);
      const killed = memory !== null && memory.kills > known;
      const asked = brake !== null && brake.asked && !unasked;
      bar.style.display = over || ends || killed || asked ? "flex" : "none";
      if (over || !(ends || killed || asked)) return;
      const end = `This server ends in ${words(left)}` + (idle ? ", unless it is used." : ". All in it is gone then.");
      const said = [killed ? memory.words : "", asked ? brake.words : "", ends ? end : ""].filter(Boolean).join(" ");
      whole.style.display = asked ? "" : "none";
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
        brake = said.brake ?? null; // null where the share is never lowered
        unasked = unasked && brake !== null && brake.asked;
        until = said.seconds === null ? null : Date.now() + said.seconds * 1000;
        if (over) {
          text.textContent = `This server has ended: ${said.ended}.`;
          download.style.display = close.style.display = whole.style.display = "none";
          again.style.display = "";
        }
        show();
        if (until === null || said.seconds > 2 * told + 60) return memory || brake?.asked ? OFTEN : SELDOM;
        return said.seconds < 5 ? AT_ONCE : Math.min(OFTEN, said.seconds * 1000);
      } catch {
        return OFTEN; // the service is started anew, or the network is away
      }
    };
    const again_and_again = async () => setTimeout(again_and_again, over ? SELDOM : await look());
    setInterval(show, 1000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden && !over) look(); });
    again_and_again();
  };

  const plugin = { id: "moorage-notice:plugin", autoStart: true, activate: start };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["moorage-notice"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
