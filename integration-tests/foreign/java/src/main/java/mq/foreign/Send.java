package mq.foreign;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;

/** Sends {@code --count} messages, one by one or as one batch. */
final class Send {
    private Send() {
    }

    static int run(Options options) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(options.required("group"), options.credentials());
        producer.setNamesrvAddr(options.required("namesrv"));
        producer.setSendMsgTimeout((int) options.millis("timeout", "10s"));
        if (options.has("namespace")) {
            producer.setNamespace(options.required("namespace"));
        }
        // Without --compress nothing is: the default threshold of 4 KiB would decide for the test.
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        if (options.has("compress")) {
            producer.setCompressType(CompressionType.of(options.required("compress")));
            producer.setCompressMsgBodyOverHowmuch(1);
        }
        producer.start();
        try {
            send(producer, options);
        } finally {
            producer.shutdown();
        }
        return Main.DONE;
    }

    private static void send(DefaultMQProducer producer, Options options) throws Exception {
        List<Message> messages = messages(options);
        if (options.has("batch")) {
            report(producer.send(messages), null);
            return;
        }
        long due = System.currentTimeMillis() + options.millis("deliver-in", "0s");
        boolean scheduled = options.has("deliver-in");
        for (int i = 0; i < messages.size(); i++) {
            Message message = messages.get(i);
            if (scheduled) {
                message.setDeliverTimeMs(due);
            }
            if (options.has("delay-level")) {
                message.setDelayTimeLevel(options.number("delay-level", 0));
            }
            if (options.has("ordering-key")) {
                report(producer.send(message, new SelectMessageQueueByHash(), orderingKey(options, i)), null);
            } else if (options.has("oneway")) {
                producer.sendOneway(message);
            } else {
                SendResult result = producer.send(message);
                report(result, scheduled ? due : null);
                if (options.has("recall")) {
                    producer.recallMessage(message.getTopic(), result.getRecallHandle());
                }
            }
            due += options.millis("deliver-step", "0s");
        }
    }

    private static List<Message> messages(Options options) {
        List<Message> messages = new ArrayList<>();
        for (int i = 0; i < options.number("count", 1); i++) {
            Message message = new Message(options.required("topic"), body(options, i));
            if (options.has("tag")) {
                message.setTags(options.required("tag"));
            }
            if (options.has("key")) {
                message.setKeys(options.required("key").replace("{i}", String.valueOf(i)));
            }
            if (options.has("ordering-key")) {
                // What the selector hashes does not travel by itself; C++ and the gRPC clients set this.
                MessageAccessor.putProperty(message, MessageConst.PROPERTY_SHARDING_KEY, orderingKey(options, i));
            }
            for (String property : options.all("prop")) {
                String[] pair = property.split("=", 2);
                message.putUserProperty(pair[0], pair[1]);
            }
            messages.add(message);
        }
        return messages;
    }

    private static String orderingKey(Options options, int i) {
        return options.required("ordering-key").replace("{i}", String.valueOf(i));
    }

    /** {@code prefix-i}, padded with dots. */
    private static byte[] body(Options options, int i) {
        StringBuilder text = new StringBuilder(options.text("prefix", "message")).append('-').append(i);
        while (text.length() < options.number("size", 0)) {
            text.append('.');
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    /** A batch comes back as one result: ids joined by commas, the first queue offset. */
    private static void report(SendResult result, Long due) {
        String[] ids = result.getMsgId().split(",");
        String[] offsetIds = result.getOffsetMsgId().split(",");
        for (int i = 0; i < ids.length; i++) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("id", ids[i]);
            fields.put("offset_id", i < offsetIds.length ? offsetIds[i] : "");
            fields.put("broker", result.getMessageQueue().getBrokerName());
            fields.put("queue", result.getMessageQueue().getQueueId());
            fields.put("offset", result.getQueueOffset() + i);
            fields.put("status", result.getSendStatus().name());
            fields.put("due_ms", due);
            Main.line(fields);
        }
    }
}
