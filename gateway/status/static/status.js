// Everything works without this file: it adds live updates, relative times, QR scanning and a print button.
(() => {
  "use strict";
  const lang = document.documentElement.lang;
  const $ = (id) => document.getElementById(id);

  function freshness() {
    const line = $("fresh");
    if (!line) return () => {};
    const relative = new Intl.RelativeTimeFormat(lang, { numeric: "always" });
    const number = new Intl.NumberFormat(lang);
    const show = () => {
      const seconds = Math.max(0, Math.round((Date.now() - Date.parse(line.dataset.at)) / 1000));
      const [count, unit] = seconds < 60 ? [seconds, "second"] : seconds < 3600 ? [Math.floor(seconds / 60), "minute"]
        : seconds < 86400 ? [Math.floor(seconds / 3600), "hour"] : [Math.floor(seconds / 86400), "day"];
      line.textContent = line.dataset.words
        .replace("{number}", number.format(line.dataset.number)).replace("{ago}", relative.format(-count, unit));
    };
    const moment = new Intl.DateTimeFormat(lang === "en" ? "en-GB" : lang, { dateStyle: "short", timeStyle: "medium", timeZone: "Asia/Ho_Chi_Minh" });
    // "2 seconds ago" means nothing on paper.
    addEventListener("beforeprint", () => {
      line.textContent = line.dataset.fixed
        .replace("{number}", number.format(line.dataset.number)).replace("{at}", moment.format(Date.parse(line.dataset.at)));
    });
    show();
    setInterval(show, 1000);
    return (fresh) => { Object.assign(line.dataset, fresh); show(); };
  }

  function follow(dossier, refresh) {
    let wait = 5000;
    let seen = new URL(dossier.dataset.live, location).searchParams.get("after");
    const connect = () => {
      const address = new URL(dossier.dataset.live, location);
      address.searchParams.set("after", seen);
      const source = new EventSource(address);
      source.addEventListener("open", () => { wait = 5000; });
      source.addEventListener("freshness", (event) => refresh(JSON.parse(event.data)));
      source.addEventListener("dossier", (event) => {
        seen = event.lastEventId;
        replace(dossier, event.data);
      });
      // The browser connects again by itself, except after an answer such as 503.
      source.addEventListener("error", () => {
        if (source.readyState !== EventSource.CLOSED) return;
        setTimeout(connect, wait);
        wait = Math.min(wait * 2, 120000);
      });
    };
    connect();
  }

  function replace(dossier, html) {
    const open = [...dossier.querySelectorAll("details")].map((details) => details.open);
    const links = () => [...dossier.querySelectorAll("a, button, summary")];
    const focused = links().indexOf(document.activeElement);
    dossier.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    dossier.querySelectorAll("details").forEach((details, index) => { details.open = open[index] ?? false; });
    printing(dossier);
    if (focused >= 0) links()[focused]?.focus({ preventScroll: true });
    dossier.querySelector(".promise").classList.add("changed");
    $("announce").textContent = dossier.querySelector(".summary").dataset.announce;
  }

  function printing(root) {
    for (const button of root.querySelectorAll("[data-print]")) {
      button.hidden = false;
      button.addEventListener("click", () => print());
    }
  }

  async function scanning() {
    const button = $("scan");
    if (!button || !("BarcodeDetector" in window) || !navigator.mediaDevices) return;
    if (!(await BarcodeDetector.getSupportedFormats()).includes("qr_code")) return;
    const [dialog, video, status] = [$("scanner"), $("camera"), $("scan-status")];
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    const look = async () => {
      if (!dialog.open) return;
      const [found] = video.readyState >= 2 ? await detector.detect(video) : [];
      if (found && /\/dossiers\/[^/?]+(\?|$)/.test(found.rawValue)) {
        location.assign("/?" + new URLSearchParams({ code: found.rawValue }));
        return;
      }
      if (found) status.textContent = button.dataset.unreadable;
      setTimeout(look, 200);
    };
    dialog.addEventListener("close", () => video.srcObject?.getTracks().forEach((track) => track.stop()));
    button.hidden = false;
    button.addEventListener("click", async () => {
      dialog.showModal();
      try {
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        await video.play();
        look();
      } catch {
        status.textContent = button.dataset.denied;
      }
    });
  }

  const refresh = freshness();
  const dossier = $("dossier");
  if (dossier && "EventSource" in window) follow(dossier, refresh);
  printing(document);
  scanning();
})();
