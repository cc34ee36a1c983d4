import { render } from "preact";

import { App } from "./app";
import { redrawCharts } from "./chart";
import { followColourMode } from "./colour-mode";
import "uplot/dist/uPlot.min.css";
import "./style.css";

followColourMode(redrawCharts);
render(<App />, document.getElementById("page")!);
