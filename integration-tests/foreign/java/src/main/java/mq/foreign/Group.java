package mq.foreign;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMachineRoomNearby.MachineRoomResolver;
import org.apache.rocketmq.common.message.MessageQueue;

/** A group as its brokers describe it, and what its strategies are set to. */
final class Group {
    /** A broker is in the room before its {@code @}, a client of 10.1.0.2 in r1; others are nowhere. */
    static final MachineRoomResolver ROOMS = new MachineRoomResolver() {
        @Override
        public String brokerDeployIn(MessageQueue queue) {
            String broker = queue.getBrokerName();
            return broker.contains("@") ? broker.substring(0, broker.indexOf('@')) : null;
        }

        @Override
        public String consumerDeployIn(String client) {
            String[] parts = client.split("\\.", 3);
            return parts.length == 3 ? "r" + parts[1] : null;
        }
    };

    String topic = "orders";
    /** Names and numbers of queues. */
    Map<String, Integer> brokers;
    List<String> clients;
    /** Of the machine-room strategy. */
    List<String> rooms = List.of("r0", "r1");
    /** Of the config strategy: places in {@link #queues}. */
    List<Integer> config = List.of();
    /** How many virtual nodes a client has on a ring that does not have the default. */
    int nodes = 1;

    Group(Map<String, Integer> brokers, List<String> clients) {
        this.brokers = brokers;
        this.clients = clients;
    }

    /** In the order of the brokers, which is nobody's. */
    List<MessageQueue> queues() {
        List<MessageQueue> queues = new ArrayList<>();
        brokers.forEach((broker, count) -> {
            for (int id = 0; id < count; id++) {
                queues.add(new MessageQueue(topic, broker, id));
            }
        });
        return queues;
    }
}
