package mq.foreign;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Asks the questions that only the admin client asks: topics, offsets by time, a group's lag. */
final class Admin {
    private Admin() {
    }

    static int run(Options options) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(options.credentials(), 10_000);
        admin.setNamesrvAddr(options.required("namesrv"));
        admin.start();
        try {
            ask(admin, options);
        } finally {
            admin.shutdown();
        }
        return Main.DONE;
    }

    private static void ask(DefaultMQAdminExt admin, Options options) throws Exception {
        Map<String, Object> topics = new LinkedHashMap<>();
        topics.put("topics", new TreeSet<>(admin.fetchAllTopicList().getTopicList()));
        Main.line(topics);

        String topic = options.required("topic");
        long when = Long.parseLong(options.text("timestamp", "0"));
        for (MessageQueue queue : queues(admin, topic)) {
            Map<String, Object> offsets = new LinkedHashMap<>();
            offsets.put("broker", queue.getBrokerName());
            offsets.put("queue", queue.getQueueId());
            offsets.put("min", admin.minOffset(queue));
            offsets.put("max", admin.maxOffset(queue));
            offsets.put("at", admin.searchOffset(queue, when));
            Main.line(offsets);
        }

        ConsumeStats stats = admin.examineConsumeStats(options.required("group"), topic);
        for (Map.Entry<MessageQueue, OffsetWrapper> entry : stats.getOffsetTable().entrySet()) {
            Map<String, Object> lag = new LinkedHashMap<>();
            lag.put("topic", entry.getKey().getTopic());
            lag.put("broker", entry.getKey().getBrokerName());
            lag.put("queue", entry.getKey().getQueueId());
            lag.put("broker_offset", entry.getValue().getBrokerOffset());
            lag.put("consumer_offset", entry.getValue().getConsumerOffset());
            Main.line(lag);
        }
    }

    private static Set<MessageQueue> queues(DefaultMQAdminExt admin, String topic) throws Exception {
        Set<MessageQueue> queues = new TreeSet<>();
        for (QueueData data : admin.examineTopicRouteInfo(topic).getQueueDatas()) {
            for (int id = 0; id < data.getReadQueueNums(); id++) {
                queues.add(new MessageQueue(topic, data.getBrokerName(), id));
            }
        }
        return queues;
    }
}
