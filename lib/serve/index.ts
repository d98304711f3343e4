/** The inference server: `import { serve } from 'qarepvgg/serve'`. */

export { serve } from './serve';
export type { ModelSource, ReloadResult, ServedModelOptions, ServeOptions, Server } from './types';
