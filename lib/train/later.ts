/** What only training and evaluation need. */

export { loadCheckpoint, saveCheckpoint } from './checkpoint';
export { Engine } from './engine';
export { Fit } from './fit';
export { readFitOptions } from './fit-options';
export { judge } from './judge';
export { checkTrainerOptions } from './options';
export { learningRateAt } from './schedule';
