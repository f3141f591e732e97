package orders;

/** Gives connections of a pool, which are returned when they are closed. */
interface Lender {
  AutoCloseable take() throws Exception;
}
