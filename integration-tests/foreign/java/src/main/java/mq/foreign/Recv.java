package mq.foreign;

import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

/** Receives until {@code --count} messages were acknowledged or {@code --timeout} is over. */
final class Recv {
    private Recv() {
    }

    static int run(Options options) throws Exception {
        CountDownLatch wanted = new CountDownLatch(options.number("count", 1));
        AtomicInteger failures = new AtomicInteger(options.number("fail-first", 0));
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(options.required("group"), options.credentials());
        consumer.setNamesrvAddr(options.required("namesrv"));
        if (options.has("namespace")) {
            consumer.setNamespace(options.required("namespace"));
        }
        consumer.setConsumeFromWhere(options.text("from", "first").equals("last")
            ? ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET : ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        if (options.has("broadcast")) {
            consumer.setMessageModel(MessageModel.BROADCASTING);
        }
        if (options.has("max-reconsume")) {
            consumer.setMaxReconsumeTimes(options.number("max-reconsume", -1));
        }
        // The route of a new retry topic is looked for at this interval; the default is 30 s.
        consumer.setPollNameServerInterval(1000);
        // A handler that runs, and what its failure gives back, is waited for at shutdown.
        consumer.setAwaitTerminationMillisWhenShutdown(10_000);
        consumer.subscribe(options.required("topic"), options.text("tag", "*"));
        Predicate<List<MessageExt>> handler = messages -> {
            boolean fail = failures.getAndUpdate(left -> Math.max(0, left - messages.size())) > 0;
            for (MessageExt message : messages) {
                report(message, !fail);
                if (!fail) {
                    wanted.countDown();
                }
            }
            return !fail;
        };
        listen(consumer, options.has("orderly"), handler);
        consumer.start();
        System.err.println("ready");
        boolean done = wanted.await(options.millis("timeout", "60s"), TimeUnit.MILLISECONDS);
        if (done) {
            // What comes after the last one that was wanted is a duplicate or a stray: let it show.
            Thread.sleep(options.millis("linger", "0s"));
        }
        consumer.shutdown();
        return done ? Main.DONE : Main.TIMED_OUT;
    }

    private static void listen(DefaultMQPushConsumer consumer, boolean orderly, Predicate<List<MessageExt>> handler) {
        if (orderly) {
            MessageListenerOrderly listener = (messages, context) -> handler.test(messages)
                ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            consumer.registerMessageListener(listener);
        } else {
            MessageListenerConcurrently listener = (messages, context) -> handler.test(messages)
                ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
            consumer.registerMessageListener(listener);
        }
    }

    private static void report(MessageExt message, boolean acked) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("id", message.getMsgId());
        fields.put("key", message.getKeys());
        fields.put("tag", message.getTags());
        fields.put("broker", message.getBrokerName());
        fields.put("queue", message.getQueueId());
        fields.put("offset", message.getQueueOffset());
        fields.put("reconsume", message.getReconsumeTimes());
        fields.put("acked", acked);
        fields.put("stored_ms", message.getStoreTimestamp());
        fields.put("at_ms", System.currentTimeMillis());
        fields.put("properties", message.getProperties());
        fields.put("body_base64", Base64.getEncoder().encodeToString(message.getBody()));
        Main.line(fields);
    }
}
