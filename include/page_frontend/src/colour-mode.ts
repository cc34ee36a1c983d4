// Dark or light, as Airflow is: it marks its own document, which frames ours, with the class of its colour mode.

const preference = matchMedia("(prefers-color-scheme: dark)");

function airflowsDocument(): Element | null {
  try {
    return parent === window ? null : parent.document.documentElement;
  } catch {
    return null;
  }
}

function isDark(): boolean {
  const classes = airflowsDocument()?.classList;
  if (classes?.contains("dark")) return true;
  if (classes?.contains("light")) return false;
  // Opened by itself: what Airflow's UI remembers in this browser.
  const chosen = localStorage.getItem("theme");
  return chosen === "dark" || (chosen !== "light" && preference.matches);
}

export function followColourMode(changed: () => void): void {
  const follow = () => {
    const dark = isDark();
    if (document.documentElement.classList.contains("dark") === dark) return;
    document.documentElement.classList.toggle("dark", dark);
    changed();
  };
  follow();
  const around = airflowsDocument();
  if (around) new MutationObserver(follow).observe(around, { attributeFilter: ["class"] });
  preference.addEventListener("change", follow);
  addEventListener("storage", follow);
}
