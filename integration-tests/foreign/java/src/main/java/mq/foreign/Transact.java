package mq.foreign;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Sends {@code --count} messages in transactions, then stays until it was asked about {@code --checks} half messages. A body that ends in an
 * even number is committed, another is rolled back; with {@code --local unknown} that is left to the check. Ends without a goodbye, as a
 * crash does.
 */
final class Transact {
    private Transact() {
    }

    static int run(Options options) throws Exception {
        CountDownLatch checks = new CountDownLatch(options.number("checks", 0));
        TransactionMQProducer producer = new TransactionMQProducer(options.required("group"), options.credentials());
        producer.setNamesrvAddr(options.required("namesrv"));
        boolean unknown = options.text("local", "decide").equals("unknown");
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object unused) {
                return unknown ? LocalTransactionState.UNKNOW : decide(message);
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                report("checked", message.getTransactionId(), message);
                checks.countDown();
                return decide(message);
            }
        });
        producer.start();
        for (int i = 0; i < options.number("count", 1); i++) {
            String body = options.text("prefix", "message") + "-" + i;
            Message message = new Message(options.required("topic"), body.getBytes(StandardCharsets.UTF_8));
            producer.sendMessageInTransaction(message, null);
            report("sent", message.getTransactionId(), message);
        }
        System.err.println("ready");
        boolean done = checks.await(options.millis("timeout", "60s"), TimeUnit.MILLISECONDS);
        // Answers are one-way, from a thread of the client: let the last one leave.
        Thread.sleep(options.has("checks") ? 500 : 100);
        return done ? Main.DONE : Main.TIMED_OUT;
    }

    private static LocalTransactionState decide(Message message) {
        int last = message.getBody()[message.getBody().length - 1];
        return last % 2 == 0 ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
    }

    private static void report(String what, String id, Message message) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("what", what);
        fields.put("id", id);
        fields.put("body_base64", Base64.getEncoder().encodeToString(message.getBody()));
        Main.line(fields);
    }
}
