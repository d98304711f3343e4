/** What only quantising needs. */

export { quantize } from './quantize';
export { renderReport } from './report-page';
export { sensitivity } from './sensitivity';
