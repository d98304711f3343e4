import { InferenceSession } from './session';

type Arguments = Parameters<typeof InferenceSession.create>;

/** Passes a session to `use`, and disposes of it afterwards, also after an error. */
export async function withSession<T>(
  model: Arguments[0],
  options: NonNullable<Arguments[1]>,
  use: (session: InferenceSession) => Promise<T>,
): Promise<T> {
  const session = await InferenceSession.create(model, options);
  try {
    return await use(session);
  } finally {
    session.dispose();
  }
}
