"use strict";

// Times are shown in this browser's zone; the server learns it from a cookie.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=strict${secure}`;
}

// The front page keeps itself fresh while somebody looks at it.
const figures = document.getElementById("figures");
const wanted = document.getElementById("refresh");
if (figures && wanted) {
  wanted.closest("label").hidden = false;
  let wait = 5000;

  const refresh = async () => {
    try {
      const answer = await fetch(figures.dataset.url, { credentials: "same-origin" });
      if (answer.redirected) return location.reload(); // logged out meanwhile
      if (!answer.ok) throw new Error(answer.status);
      const focused = figures.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const place = focused && [...figures.querySelectorAll("a")].indexOf(document.activeElement);
      figures.innerHTML = await answer.text();
      if (focused) {
        const links = [...figures.querySelectorAll("a")];
        const same = links[place]?.getAttribute("href") === focused ? links[place] : links.find((one) => one.getAttribute("href") === focused);
        same?.focus({ preventScroll: true });
      }
      wait = 5000;
    } catch {
      const stale = document.getElementById("stale");
      stale.textContent = figures.dataset.stale;
      stale.hidden = false;
      document.getElementById("fresh").classList.add("stale");
      wait = Math.min(wait * 2, 60000);
    }
  };

  const next = async () => {
    if (wanted.checked && !document.hidden) await refresh();
    setTimeout(next, wait);
  };
  setTimeout(next, wait);
}
