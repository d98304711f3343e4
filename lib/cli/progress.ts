import { SingleBar } from 'cli-progress';
import { percent } from '../figures';
import type { EpochProgress, ProgressEvent, QuantizationProgress } from '../index';

/** Shows the progress of a training: lines of JSON, or lines of text and, on a terminal, a bar. */
export class TrainingProgress {
  readonly #json: boolean;
  readonly #bar: SingleBar | undefined;

  /** @param terminal Where the bar goes, if it is a terminal. */
  constructor(json: boolean, terminal: NodeJS.WriteStream = process.stderr) {
    this.#json = json;
    if (json || !terminal.isTTY) return;
    const format = 'epoch {epoch} [{bar}] {percentage}%  {speed} images/s  {left} left  loss {loss} {accuracy}';
    this.#bar = new SingleBar({ format, barsize: 8, stream: terminal, clearOnComplete: true, hideCursor: true });
  }

  /** Called after every step and epoch. */
  show(event: ProgressEvent): void {
    if (event.kind === 'epoch') this.#showEpoch(event);
    else this.#showStep(event);
  }

  stop(): void {
    this.#bar?.stop();
  }

  #showStep(event: Exclude<ProgressEvent, EpochProgress>): void {
    if (!this.#bar) return;
    const perEpoch = event.steps / event.epochs;
    const payload = {
      epoch: `${event.epoch}/${event.epochs}`,
      speed: Math.round(event.imagesPerSecond).toLocaleString('en-US'),
      left: duration(event.secondsLeft),
      loss: event.loss.toFixed(3),
      accuracy: percent(event.accuracy),
    };
    const done = event.step - (event.epoch - 1) * perEpoch;
    if (this.#bar.isActive) this.#bar.update(done, payload);
    else this.#bar.start(perEpoch, done, payload);
  }

  #showEpoch(event: EpochProgress): void {
    this.#bar?.stop();
    if (this.#json) {
      process.stdout.write(`${JSON.stringify(event)}\n`);
      return;
    }
    const { epoch, epochs, loss, accuracy, learningRate, seconds, validation } = event;
    const parts = [
      `epoch ${`${epoch}`.padStart(`${epochs}`.length)}/${epochs}`,
      `loss ${loss.toFixed(4)} ${percent(accuracy)}`,
      ...(validation ? [`validation ${validation.loss.toFixed(4)} ${percent(validation.accuracy)}`] : []),
      `lr ${learningRate.toPrecision(3)}`,
      duration(seconds),
    ];
    process.stdout.write(`${parts.join('  ')}\n`);
  }
}

const stages = { equalize: 'equalising', calibrate: 'calibrating', correct: 'correcting biases' };

/** Shows the progress of a calibration: a bar, on a terminal. */
export class CalibrationProgress {
  readonly #perStage: number;
  readonly #bar: SingleBar | undefined;
  readonly #seen: QuantizationProgress['stage'][] = [];

  /** @param total Images of all stages. */
  constructor(total: number, perStage: number, json: boolean, terminal: NodeJS.WriteStream = process.stderr) {
    this.#perStage = perStage;
    if (json || !terminal.isTTY) return;
    const format = '{stage} [{bar}] {percentage}% | {value} of {total} images';
    this.#bar = new SingleBar({ format, barsize: 24, stream: terminal, clearOnComplete: true, hideCursor: true });
    this.#bar.start(total, 0, { stage: '' });
  }

  show({ stage, images }: QuantizationProgress): void {
    if (this.#seen.at(-1) !== stage) this.#seen.push(stage);
    // Another recipe is tried where there is much noise.
    const total = this.#seen.length * this.#perStage;
    if (this.#bar && total > this.#bar.getTotal()) this.#bar.setTotal(total);
    this.#bar?.update((this.#seen.length - 1) * this.#perStage + images, { stage: stages[stage] });
  }

  stop(): void {
    this.#bar?.stop();
  }
}

/** Shows how many photographs are done: a bar, on a terminal, for more than one photograph. */
export class PhotoProgress {
  readonly #bar: SingleBar | undefined;

  constructor(total: number, json: boolean, terminal: NodeJS.WriteStream = process.stderr) {
    if (json || !terminal.isTTY || total < 2) return;
    const format = '[{bar}] {percentage}% | {value} of {total} photographs, {eta_formatted} left';
    this.#bar = new SingleBar({ format, barsize: 24, stream: terminal, clearOnComplete: true, hideCursor: true });
    this.#bar.start(total, 0);
  }

  increment(): void {
    this.#bar?.increment();
  }

  stop(): void {
    this.#bar?.stop();
  }
}

/** "1:02:03", "2:03" */
function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = `${whole % 60}`.padStart(2, '0');
  return hours > 0 ? `${hours}:${`${minutes}`.padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}
