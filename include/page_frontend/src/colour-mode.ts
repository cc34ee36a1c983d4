// Dark or light mode as in Airflow: the document that frames this page has the class of Airflow's colour mode.

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
  // Opened without the frame: the mode that Airflow's UI stores in this browser.
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
