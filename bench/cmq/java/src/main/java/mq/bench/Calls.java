package mq.bench;

/** What is measured, of one queue. */
interface Calls {
    void send(String body) throws Exception;

    /** The length of the message's body. */
    int receiveAndDelete() throws Exception;
}
