package mq.bench;

import com.qcloud.cmq.client.common.ClientConfig;
import com.qcloud.cmq.client.consumer.Consumer;
import com.qcloud.cmq.client.consumer.ReceiveResult;
import com.qcloud.cmq.client.producer.Producer;

/** com.qcloud:cmq-tcp-client. */
final class Tcp implements Calls {
    static {
        // Its own configuration of the log would write into the home directory and to stdout. Read when the first client is made.
        System.setProperty("cmq.client.log.loadconfig", "false");
    }

    private final String queue;
    private final Producer producer = new Producer();
    private final Consumer consumer = new Consumer();

    Tcp(String nameServer, String queue) throws Exception {
        this.queue = queue;
        configure(producer, nameServer);
        configure(consumer, nameServer);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        consumer.start();
    }

    private static void configure(ClientConfig config, String nameServer) {
        config.setNameServerAddress(nameServer);
        config.setSecretId("AKIDdev");
        config.setSecretKey("dev-secret");
        config.setSignMethod(ClientConfig.SIGN_METHOD_SHA256);
        config.setRequestTimeoutMS(10_000);
    }

    @Override
    public void send(String body) throws Exception {
        check(producer.send(queue, body, 0).getReturnCode());
    }

    @Override
    public int receiveAndDelete() throws Exception {
        ReceiveResult received = consumer.receiveMsg(queue, 3);
        check(received.getReturnCode());
        check(consumer.deleteMsg(queue, received.getMessage().getReceiptHandle()).getReturnCode());
        return received.getMessage().getData().length();
    }

    private static void check(int code) {
        if (code != 0) {
            throw new IllegalStateException("code " + code);
        }
    }
}
