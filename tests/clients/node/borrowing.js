// How an application checks a connection out, returns it, and does a query with it, by what it exports.

const ofPool = ({ pool }) => ({
  borrow: () => pool.connect(),
  giveBack: (client) => client.release(),
  query: (client, text) => client.query(text),
});

const ofSequelize = ({ sequelize }) => ({
  borrow: () => sequelize.transaction(),
  giveBack: (transaction) => transaction.commit(),
  query: (transaction, text) => sequelize.query(text, { transaction }),
});

// What Prisma's client does for a transaction.
const ofPrisma = ({ adapter }) => ({
  borrow: async () => (await adapter.connect()).startTransaction(),
  async giveBack(transaction) {
    await transaction.executeRaw({ sql: "COMMIT", args: [], argTypes: [] });
    await transaction.commit();
  },
  query: (transaction, text) => transaction.queryRaw({ sql: text, args: [], argTypes: [] }),
});

// A transaction lasts until its function ends.
const ofTransactions = (begin, query) => ({
  borrow: () =>
    new Promise((resolve, reject) => {
      const ended = begin(
        (transaction) =>
          new Promise((end) => {
            resolve({
              transaction,
              giveBack: () => {
                end();
                return ended;
              },
            });
          }),
      );
      ended.catch(reject);
    }),
  giveBack: ({ giveBack }) => giveBack(),
  query: ({ transaction }, text) => query(transaction, text),
});

const ofDrizzle = ({ db }) =>
  ofTransactions(
    (work) => db.transaction(work),
    (transaction, text) => transaction.execute(text),
  );

const ofPostgresJs = ({ transaction }) =>
  ofTransactions(transaction, (connection, text) => connection.unsafe(text));

export function borrowing(application) {
  if (application.sequelize) return ofSequelize(application);
  if (application.adapter) return ofPrisma(application);
  if (application.db) return ofDrizzle(application);
  if (application.transaction) return ofPostgresJs(application);
  return ofPool(application);
}
