"use strict";

// Times are shown in this browser's zone; the server learns it from a cookie.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=strict${secure}`;
}

// The front page refreshes its widgets while it is visible.
const dashboard = document.getElementById("dashboard");
const enabled = document.getElementById("refresh");
if (dashboard && enabled) {
  enabled.closest("label").hidden = false;
  let waitMs = 5000;

  const refresh = async () => {
    try {
      const response = await fetch(dashboard.dataset.url, { credentials: "same-origin" });
      if (response.redirected) return location.reload(); // logged out meanwhile
      if (!response.ok) throw new Error(response.status);
      const focused = dashboard.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const index = focused && [...dashboard.querySelectorAll("a")].indexOf(document.activeElement);
      dashboard.innerHTML = await response.text();
      if (focused) {
        const links = [...dashboard.querySelectorAll("a")];
        const same = links[index]?.getAttribute("href") === focused ? links[index] : links.find((link) => link.getAttribute("href") === focused);
        same?.focus({ preventScroll: true });
      }
      waitMs = 5000;
    } catch {
      const stale = document.getElementById("stale");
      stale.textContent = dashboard.dataset.stale;
      stale.hidden = false;
      document.getElementById("refreshed").classList.add("stale");
      waitMs = Math.min(waitMs * 2, 60000);
    }
  };

  const next = async () => {
    if (enabled.checked && !document.hidden) await refresh();
    setTimeout(next, waitMs);
  };
  setTimeout(next, waitMs);
}
