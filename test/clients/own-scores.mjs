import { buildMiddleSegments } from "../../dist/model/stages/model-stages.js";
import { openModel } from "../../dist/model/weights/open-model.js";
import { createTokenizer } from "../../dist/model/text/tokenizer.js";
import { encodeQuestions } from "../../dist/prune/evaluation/multiple-choice.js";
import { readTasks } from "../../dist/prune/evaluation/read-tasks.js";
import { ScoringModel } from "../../dist/prune/scoring/scoring-model.js";

/** Log-likelihoods of each question's choices under a model, by the parts of `seap eval`. */
export async function ownScores({ path, task, dataDir, maxRows, format }) {
  const { weights, tokenizer } = await openModel(path);
  const [{ questions }] = readTasks([task], { dataDir, maxRows }, () => undefined);
  const groups = encodeQuestions(
    createTokenizer(tokenizer),
    questions,
    weights.config.contextLength,
  );
  const model = await ScoringModel.load(weights, { format, numThreads: 1 });
  const middle = await model.loadMiddle(buildMiddleSegments(weights, format, { name: "dense" }));
  const { scores } = await model.score(model.prepare(groups), middle);
  await middle.release();
  await model.release();
  weights.close();
  const logProbs = scores.map(({ logProb }) => logProb);
  return groups.map((choices) => logProbs.splice(0, choices.length));
}
