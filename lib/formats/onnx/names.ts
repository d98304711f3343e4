/** Names of the input and output of every graph, and of a session. */
export const inputName = 'input';
export const outputName = 'logits';
