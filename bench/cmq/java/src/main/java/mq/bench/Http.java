package mq.bench;

import com.qcloud.cmq.Account;
import com.qcloud.cmq.Message;
import com.qcloud.cmq.Queue;
import com.qcloud.cmq.entity.CmqConfig;

/** com.qcloud:cmq-http-client. */
final class Http implements Calls {
    private final Queue queue;

    Http(String endpoint, String queue) {
        CmqConfig config = new CmqConfig();
        config.setEndpoint(endpoint);
        config.setSecretId("AKIDdev");
        config.setSecretKey("dev-secret");
        config.setSignMethod("sha256");
        config.setPrintSlow(false);
        this.queue = new Account(config).getQueue(queue);
    }

    @Override
    public void send(String body) throws Exception {
        queue.sendMessage(body);
    }

    @Override
    public int receiveAndDelete() throws Exception {
        Message message = queue.receiveMessage(3);
        queue.deleteMessage(message.receiptHandle);
        return message.msgBody.length();
    }
}
