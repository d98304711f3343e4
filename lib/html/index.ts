/** The parts that the package's pages are made of: `import { page, lineFigure } from 'qarepvgg/html'`. */

export { dataTable, type LineFigure, lineFigure, page } from './page';
export { escapeHtml, format, histogramPlot, type Line, type LinePlotOptions, type LineStyle, linePlot } from './plots';
